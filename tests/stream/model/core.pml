/* Publish, attach, read, leave and close on a plain log: whatever happens, no
   memory is touched that is gone, all who stay come to the end, and at the end
   nothing is left. Waiting is here only not going on, see sleeping.pml. */
#define SLOTS 2
#ifndef EVENTS
#define EVENTS 2
#endif
#define SEGMENTS 5
#include "log.pml"

inline Place() { PlaceAtEnd() }

inline Append() {
  Claim(1);
  if
  :: refused -> skip
  :: else ->
       Get(Number(t));
       Exchange(t, READY);
       Settle(t);
       AfterAppend(t)
  fi;
  d_step { t = 0; refused = false }
}

inline AfterAppend(index) {
  if
  :: (index) % SLOTS == SLOTS / 2 - 1 -> Prepare(Number(index) + 1)
  :: else
  fi;
  if
  :: (index) % SLOTS == SLOTS - 1 -> RaiseFloor((index) + 1)
  :: else
  fi
}

proctype Publisher(byte count) {
  byte t;
  bool refused;
  LOCALS;
  do
  :: count > 0 -> Append(); count--
  :: else -> break
  od
}

proctype Closer() {
  byte t;
  bool tell;
  LOCALS;
  d_step {
    !mutex;
    closed = true;
    t = claim;
#ifdef LATE_READERS_LOOK
    tell = true;
#else
    tell = readers > 0;
#endif
    end = (tell -> t + 1 : t) /* After a last event. */
  }
  if
  :: tell ->
       Get(Number(end));
       Get(Number(t));
       if
       :: Number(t) == Number(end) ->
            d_step { Touch(Number(end)); State(end) = ENDED }
       :: else -> Exchange(end, ENDED); Settle(end)
       fi;
       Exchange(t, READY);
       Settle(t);
       AfterAppend(t);
#ifdef END_RELEASED
       RaiseFloor((Number(end) + 1) * SLOTS)
#endif
  :: else
  fi
}

proctype Reader(bool patient) {
  READER_LOCALS;
  strict = true;
  Attach();
  do
  :: held == NOTHING -> break
  :: held != NOTHING && !patient -> break
  :: held != NOTHING && held != Number(index) -> Follow()
  :: held == Number(index) && IsReady(State(index)) ->
       Touch(held);
       if
       :: State(index) == ENDED -> assert(closed && index == end); break
       :: else -> index++
       fi
  od;
  if
  :: held != NOTHING -> d_step { !mutex; readers--; index = 0 } Unref(held)
  :: else
  fi
}

init {
  LOCALS;
  atomic {
    run Publisher(EVENTS);
    run Publisher(1);
    run Closer();
    run Reader(true);
    run Reader(false)
  }
  _nr_pr == 1;
  NothingIsLeft()
}
