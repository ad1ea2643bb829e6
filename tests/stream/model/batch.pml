/* Batches: all slots of one but the first become ready by plain stores, which
   lose flags. So who sleeps must not sleep there: here a reader for whom no
   wake comes sleeps for ever, and a flag for the eviction that is lost leaves
   the segment behind. */
#define SLOTS 4
#define SEGMENTS 4
#define READERS 2
#define WAKES
#include "log.pml"

byte asleep[READERS]; /* 1 + the index, 0 if awake. */

inline Wake(index) {
  d_step {
    d = 0;
    do
    :: d < READERS && asleep[d] == (index) + 1 -> asleep[d] = 0; d++
    :: d < READERS && asleep[d] != (index) + 1 -> d++
    :: else -> break
    od;
    d = 0
  }
}

/* A batch is of 2, half a segment. The later slot of the two comes first. */
inline Store(index) {
  d_step { Touch(Number(index)); assert(!IsReady(State(index))); State(index) = READY }
}
inline AppendTwo() {
  Claim(2);
  if
  :: refused -> skip
  :: else ->
       Get(Number(t + 1));
       if
       :: Number(t) != Number(t + 1) ->
            Exchange(t + 1, READY);
            Settle(t + 1);
            Get(Number(t));
            Exchange(t, READY);
            Settle(t)
       :: else ->
#ifdef FIRST_COMES_FIRST
            Exchange(t, READY);
            Settle(t);
            Store(t + 1)
#else
            Store(t + 1);
            Exchange(t, READY);
            Settle(t)
#endif
       fi;
       AfterAppend(t);
       AfterAppend(t + 1)
  fi;
  atomic { t = 0; refused = false }
}
inline AppendOne() {
  Claim(1);
  if
  :: refused -> skip
  :: else -> Get(Number(t)); Exchange(t, READY); Settle(t); AfterAppend(t)
  fi;
  atomic { t = 0; refused = false }
}

inline AfterAppend(index) {
  if
  :: (index) % SLOTS == SLOTS / 2 - 1 -> Prepare(Number(index) + 1)
  :: else
  fi;
#if defined(WINDOW)
  if
  :: (index) + 1 > WINDOW -> RaiseFloor((index) + 1 - WINDOW)
  :: else
  fi
#elif !defined(RESUMABLE)
  if
  :: (index) % SLOTS == SLOTS - 1 -> RaiseFloor((index) + 1)
  :: else
  fi
#endif
}

proctype Publisher(byte ones, twos) {
  byte t;
  bool refused;
  LOCALS;
  do
  :: ones > 0 -> AppendOne(); ones--
  :: twos > 0 -> AppendTwo(); twos--
  :: ones + twos == 0 -> break
  od
}

/* Without a last event: that with the end is like a batch of 2. */
proctype Closer() {
  byte t;
  bool tell;
  LOCALS;
  d_step {
    !mutex;
    closed = true;
    t = claim;
    end = t;
#ifdef RESUMABLE
    tell = readers > 0 || end > 0
#else
    tell = readers > 0
#endif
  }
  if
  :: tell -> Get(Number(t)); Exchange(t, ENDED); Settle(t)
  :: else
  fi
}

#ifdef RESUMABLE
byte wanted[READERS];
/* After an event that is ready, if it is not too far. */
inline Place() {
  index = wanted[me];
  last = index > (closed -> end : claim) || (closed && index == end);
#ifndef JOIN_ANYWHERE
  if
  :: !last && index > 0 ->
       last = segment[Number(index - 1)].entry != THERE ||
              !IsReady(State(index - 1))
  :: else
  fi
#endif
}
#else
inline Place() { PlaceAtEnd() }
#endif

/* Leaves in `found` whether the log ends here. */
inline PollOrSleep() {
  d_step { /* Poll(), or Wait(): flag, then sleep if it is still so. */
    Touch(held);
    if
    :: State(index) == ENDED -> found = true
    :: State(index) == READY -> index++
    :: else -> State(index) = State(index) | SLEEPERS; flags = 1
    fi
  }
  d_step {
    if
    :: flags == 1 && !IsReady(State(index)) -> asleep[me] = index + 1
    :: else
    fi;
    flags = 0
  }
}

#ifdef WINDOW
proctype LossyReader(byte me) {
  READER_LOCALS;
  LOSSY_LOCALS;
  Attach();
  do
  :: held == NOTHING || found -> break
  :: else ->
       asleep[me] == 0;
       if
       :: index < floor -> CatchUp()
       :: else
       fi;
       if
       :: held != Number(index) -> FollowOrCatchUp()
       :: else -> PollOrSleep()
       fi
  od;
  if
  :: held != NOTHING ->
       atomic { !mutex -> readers--; index = 0; found = false }
       Unpin(held)
  :: else
  fi
}
#endif

proctype Reader(byte me; bool patient) {
  READER_LOCALS;
  strict = true;
#ifdef RESUMABLE
  do
  :: wanted[me] < 3 -> wanted[me]++
  :: break
  od;
#endif
  Attach();
  do
  :: held == NOTHING -> break
  :: held != NOTHING && !patient && asleep[me] == 0 -> break
  :: held != NOTHING && held != Number(index) && asleep[me] == 0 -> Follow()
  :: held == Number(index) && asleep[me] == 0 ->
       PollOrSleep();
       if
       :: found -> break
       :: else
       fi
  od;
  if
  :: held != NOTHING ->
       d_step { !mutex; readers--; index = 0; found = false }
       Unref(held)
  :: else
  fi
}

init {
  LOCALS;
  atomic {
#if defined(WINDOW)
    run Publisher(1, 1);
    run Publisher(0, 1);
    run Closer();
    run LossyReader(0)
#elif defined(RESUMABLE)
    run Publisher(1, 0);
    run Publisher(0, 1);
    run Closer();
    run Reader(0, true);
    run Reader(1, true)
#else
    run Publisher(1, 1);
    run Publisher(0, 1);
    run Closer();
    run Reader(0, true);
    run Reader(1, false)
#endif
  }
  _nr_pr == 1;
  NothingIsLeft()
}
