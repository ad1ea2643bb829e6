/* Armed readers, LogReader::Arm() and ArmedLists: a waiter is listed, then the
   slot flagged; who makes the slot ready takes the list and wakes. Each Arm()
   that is not taken back is followed by one wake, however nodes come, stay and
   come again, and nobody wakes others for nothing for ever. */
#define READERS 2
#define SLOTS 2
#define ARMED 2
#define READY 8
#define NIL 255

byte slot[SLOTS];
byte head = NIL;
byte next[READERS];
bool listed[READERS];
bool waiter[READERS];
byte wakes[READERS]; /* That are on their way. */

inline WakeAll() {
  d_step { chain = head; head = NIL }
  do
  :: chain == NIL -> break
  :: chain != NIL ->
#ifdef CLEARED_BEFORE_NEXT
       listed[chain] = false;
       d_step { node = chain; chain = next[node] }
#else
       d_step { node = chain; chain = next[node] }
#ifdef TAKEN_BEFORE_CLEARED
       d_step { taken = waiter[node]; waiter[node] = false }
       listed[node] = false;
#else
       listed[node] = false;
#endif
#endif
#ifndef TAKEN_BEFORE_CLEARED
       d_step { taken = waiter[node]; waiter[node] = false }
#endif
       if
       :: taken -> wakes[node]++
       :: else
       fi;
       d_step { taken = false; node = 0 }
  od
}

inline Push() {
#ifdef LISTED_FIRST
  d_step { taken = listed[me]; listed[me] = true }
  waiter[me] = true;
#else
  waiter[me] = true;
  d_step { taken = listed[me]; listed[me] = true }
#endif
  if
  :: !taken ->
       next[me] = head;
       do
       :: atomic { head == next[me] -> head = me; break }
       :: atomic { head != next[me] -> next[me] = head }
       od
  :: else -> taken = false
  fi
}

/* Leaves in `ready` whether the slot is. */
inline Flag() {
  d_step {
#ifdef FLAGGED_IS_READY
    ready = slot[at] != 0;
#else
    ready = slot[at] == READY;
#endif
    if
    :: slot[at] != READY -> slot[at] = ARMED
    :: else
    fi
  }
}

proctype Publisher(byte which) {
  byte flags, chain, node;
  bool taken;
  d_step { flags = slot[which]; slot[which] = READY }
  if
  :: flags == ARMED -> WakeAll()
  :: else
  fi
}

/* Takes its waiter back `turns` times at most. */
proctype Reader(byte me, turns) {
  byte at;
  bool ready, taken;
#ifdef FLAGGED_IS_READY
  byte chain, node;
#endif
  do
  :: at == SLOTS -> break
  :: at < SLOTS && slot[at] == READY -> at++
  :: at < SLOTS && slot[at] != READY ->
       assert(!waiter[me] && wakes[me] == 0);
#ifdef FLAG_FIRST
       Flag();
       Push();
#else
       Push();
       Flag();
#endif
#ifdef FLAGGED_IS_READY
       if
       :: ready -> WakeAll(); ready = false
       :: else
       fi;
#endif
       if
       :: ready ->
            d_step { ready = false; taken = waiter[me]; waiter[me] = false }
            if
            :: taken -> taken = false
            :: else -> atomic { wakes[me] > 0 -> wakes[me]-- }
            fi
       :: else ->
            if
            :: atomic { wakes[me] > 0 -> wakes[me]-- }
            :: atomic { turns > 0 -> turns--; taken = waiter[me]; waiter[me] = false }
               if
               :: taken -> taken = false
               :: else -> atomic { wakes[me] > 0 -> wakes[me]-- }
               fi
            fi
       fi
  od
}

init {
  atomic {
    run Publisher(0);
    run Publisher(1);
    run Reader(0, 2);
    run Reader(1, 1)
  }
  _nr_pr == 1;
  assert(wakes[0] == 0 && wakes[1] == 0 && !waiter[0] && !waiter[1])
}
