/* Lossy readers of a log with a window, and of a resumable log that drops what
   is old: they pin the segment they are in, and when the floor has passed them
   they go on at the floor, or a little before it. A strict reader of the same
   log keeps what it has not read. */
#define SLOTS 2
#define WINDOW 2
#ifndef EVENTS
#define EVENTS 3
#endif
#define SEGMENTS 5
#include "log.pml"

#ifdef RESUMABLE
inline AfterAppend(index) {
  if
  :: (index) % SLOTS == SLOTS / 2 - 1 -> Prepare(Number(index) + 1)
  :: else
  fi
}

/* DropBefore(), to anywhere. */
proctype Dropper() {
  byte to_id;
  LOCALS;
  do
  :: to_id < (closed -> end : claim) -> to_id++
  :: to_id > 0 -> break
  :: closed -> break
  od;
#ifdef DROPS_THE_END
  if
  :: closed -> to_id = (Number(end) + 1) * SLOTS
  :: else
  fi;
#endif
  RaiseFloor(to_id)
}

/* After event -1: from the floor, or 0. */
inline Place() {
  index = 0;
  last = index < floor || (closed && index == end)
}
#else
/* The floor follows at each index, as it does in a small window. */
inline AfterAppend(index) {
  if
  :: (index) % SLOTS == SLOTS / 2 - 1 -> Prepare(Number(index) + 1)
  :: else
  fi;
  if
  :: (index) + 1 > WINDOW -> RaiseFloor((index) + 1 - WINDOW)
  :: else
  fi
}
inline Place() { PlaceAtEnd() }
#endif

inline Append() {
  Claim(1);
  if
  :: refused -> skip
  :: else -> Get(Number(t)); Exchange(t, READY); Settle(t); AfterAppend(t)
  fi;
  atomic { t = 0; refused = false }
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

proctype StrictReader() {
  READER_LOCALS;
  strict = true;
  Attach();
  do
  :: held == NOTHING -> break
  :: held != NOTHING && held != Number(index) -> Follow()
  :: held == Number(index) && IsReady(State(index)) ->
       Touch(held);
       if
       :: State(index) == ENDED -> break
       :: else -> index++
       fi
  od;
  if
  :: held != NOTHING -> d_step { !mutex; readers--; index = 0 } Unref(held)
  :: else
  fi
}

proctype LossyReader() {
  READER_LOCALS;
  LOSSY_LOCALS;
  Attach();
  do
  :: held == NOTHING -> break
  :: held != NOTHING ->
       if
       :: index < floor -> CatchUp()
       :: else
       fi;
       if
       :: held != Number(index) ->
            FollowOrCatchUp()
       :: else -> /* The slot is ready, or it sleeps until it is. */
            if
            :: segment[held].gone || IsReady(State(index)) -> Touch(held)
            fi;
            if
            :: State(index) == ENDED -> break
            :: else -> index++
            fi
       fi
  od;
  if
  :: held != NOTHING -> d_step { !mutex; readers--; index = 0 } Unpin(held)
  :: else
  fi
}

init {
  LOCALS;
  atomic {
    run Publisher(EVENTS);
    run Publisher(1);
    run Closer();
    run LossyReader();
#ifdef RESUMABLE
    run Dropper()
#else
    run StrictReader()
#endif
  }
  _nr_pr == 1;
  NothingIsLeft()
}
