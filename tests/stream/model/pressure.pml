/* Back-pressure, stream/internal/pressure.cc: publishers ask before they
   publish, and wait while the slowest reader is a window behind; readers say
   how far they are after each part of a window. Nobody waits for ever, whether
   readers read on, leave, or the log is closed; and the log is never further
   ahead than the window and what publishers began meanwhile. */
#define WINDOW 2
#define EVENTS 3
#define PUBLISHERS 2
#define READERS 2
#define NONE 255
#ifndef PART
#define PART 1
#endif

byte claim;
byte limit = NONE;
bool mutex, closed;
bool present[READERS];
byte told[READERS];
byte ended;
bool waits[PUBLISHERS], woken[PUBLISHERS];

inline Lock() { atomic { !mutex -> mutex = true } }

/* Under the lock: Recount(), and who is to be woken; then it is given back. */
inline Update() {
  d_step {
    limit = NONE;
    if
    :: !closed && present[0] && told[0] + WINDOW < limit -> limit = told[0] + WINDOW
    :: else
    fi;
    if
    :: !closed && present[1] && told[1] + WINDOW < limit -> limit = told[1] + WINDOW
    :: else
    fi
  }
  d_step {
    if
    :: claim < limit ->
         taken[0] = waits[0];
         taken[1] = waits[1];
         waits[0] = false;
         waits[1] = false
    :: else
    fi;
    mutex = false
  }
  if
  :: taken[0] -> woken[0] = true
  :: else
  fi;
  if
  :: taken[1] -> woken[1] = true
  :: else
  fi;
  d_step { taken[0] = false; taken[1] = false }
}

proctype Publisher(byte me) {
  byte left = EVENTS, seen;
  do
  :: left == 0 -> break
  :: left > 0 ->
       seen = limit;
       if
#ifdef UNASKED
       :: false ->
#else
       :: claim >= seen ->
#endif
            Lock();
            d_step {
#ifdef ARMED_UNASKED
              waits[me] = true;
#else
              waits[me] = claim >= limit;
#endif
              seen = waits[me];
              mutex = false
            }
            if
            :: seen -> atomic { woken[me] -> woken[me] = false }
            :: else
            fi
       :: else ->
            d_step {
              claim++;
              left--;
              assert(closed || !present[0] || claim < told[0] + WINDOW + PUBLISHERS);
              assert(closed || !present[1] || claim < told[1] + WINDOW + PUBLISHERS)
            }
       fi;
       seen = 0
  od;
  ended++
}

proctype Reader(byte me; bool patient) {
  byte index;
  bool taken[PUBLISHERS];
  do
  :: ended == PUBLISHERS && index == claim -> break
  :: !patient -> break
  :: index < claim ->
       index++;
       if
       :: index - told[me] >= PART -> Lock(); told[me] = index; Update()
       :: else
       fi
  od;
#ifndef STAYS_COUNTED
  Lock();
  present[me] = false;
  Update()
#endif
}

#ifdef CLOSES
/* At any moment. */
proctype Closer() {
  bool taken[PUBLISHERS];
  Lock();
#ifdef CLOSED_UNTOLD
  atomic { closed = true; limit = NONE; mutex = false }
#else
  closed = true;
  Update()
#endif
}
#endif

init {
  atomic {
    present[0] = true;
    present[1] = true;
    limit = WINDOW;
    run Publisher(0);
    run Publisher(1);
    run Reader(0, true);
#ifdef CLOSES
    run Closer() /* And a reader that reads no more. */
#else
    run Reader(1, false)
#endif
  }
  _nr_pr == 1;
  assert(!waits[0] && !waits[1])
}
