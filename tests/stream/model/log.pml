/* What the models share: a log's segments, directory, gate and floor, as
   stream/internal/log_core.h has them, with the same names. A step here is one
   operation on one atomic; what a worker does alone between two of those is
   part of the step, and so are several operations of which only the last can
   meet another worker's. Memory is sequentially consistent.

   Who includes this defines SLOTS, of a segment, and SEGMENTS, enough of them. */

/* States of a slot: flags until it is ready. */
#define EMPTY 0
#define SLEEPERS 1
#define ARMED 2
#define DEAD 4
#define READY 8
#define ENDED 16
#define IsReady(state) ((state) >= READY)

/* Entries of the directory. */
#define NONE 0
#define THERE 1
#define FREED 2

typedef Segment {
  byte entry;
  byte refs;
  byte pins;
  bool kept; /* By the gate. */
  bool gone; /* Its memory is somebody else's. */
  byte slot[SLOTS]
}

Segment segment[SEGMENTS];
byte claim; /* The claim word, and its flag: */
bool closed;
byte end; /* If closed. */
byte floor;
bool inside; /* The gate. */
bool mutex;
byte readers;

#define NOTHING 255

#define Number(index) ((index) / SLOTS)
#define State(index) segment[Number(index)].slot[(index) % SLOTS]
#define Touch(number) assert(!segment[number].gone)

/* What the inlines below need: own variables, 0 while unused. */
#define LOCALS byte d, s, from, to, flags; bool more, last
#define READER_LOCALS byte index, held; bool strict, found; LOCALS
#define LOSSY_LOCALS byte next, place

/* Inside a d_step. */
inline MakeIfNone(number) {
  assert((number) < SEGMENTS);
  if
  :: segment[number].entry == NONE ->
       segment[number].entry = THERE;
       segment[number].pins = 1;
#ifdef NO_CHAIN
       segment[number].refs = 1
#else
       segment[number].refs = ((number) == 0 -> 1 : 2)
#endif
  :: else
  fi
}

/* For those for whom it is not freed. */
inline Get(number) {
  d_step { MakeIfNone(number); assert(segment[number].entry == THERE) }
}
inline Prepare(number) { d_step { MakeIfNone(number) } }

inline Unpin(number) {
  d_step {
    Touch(number);
    assert(segment[number].pins > 0);
    segment[number].pins--;
    last = segment[number].pins == 0
  }
  if
  :: last ->
       d_step { /* Gate::Pass(). */
         last = false;
         assert(!segment[number].gone);
#ifdef NO_GATE
         segment[number].gone = true
#else
         if
         :: inside -> segment[number].kept = true
         :: else -> segment[number].gone = true
         fi
#endif
       }
  :: else
  fi
}

inline Evict(number, slot_of) {
  d_step { d = number; s = slot_of; more = true }
  do
  :: !more -> break
  :: more ->
       d_step { /* Slots that are ready stay so: one step flags the first other. */
         Touch(d);
         do
         :: s == SLOTS -> break
         :: s < SLOTS && IsReady(segment[d].slot[s]) -> s++
         :: s < SLOTS && !IsReady(segment[d].slot[s]) ->
#ifdef NO_HAND_OVER
              s++
#else
              segment[d].slot[s] = segment[d].slot[s] | DEAD;
              more = false;
              break
#endif
         od;
         s = 0
       }
       if
       :: more ->
            Get(d + 1);
            segment[d].entry = FREED;
#ifdef UNPINNED
            d_step { segment[d].pins = 0; segment[d].gone = true }
#else
            Unpin(d);
#endif
#ifdef NO_CHAIN
            more = false
#else
            d_step {
              d++;
              Touch(d);
              assert(segment[d].refs > 0);
              segment[d].refs--;
              more = segment[d].refs == 0
            }
#endif
       :: else
       fi
  od;
  d = 0
}

inline Unref(number) {
  d_step {
    Touch(number);
    assert(segment[number].refs > 0);
    segment[number].refs--;
    last = segment[number].refs == 0
  }
  if
  :: last -> last = false; Evict(number, 0)
  :: else
  fi
}

inline RaiseFloor(index) {
#ifdef FLOOR_NOT_EXCHANGED
  d_step { from = floor; to = index }
  d_step {
    if
    :: to > from -> floor = to
    :: else -> from = to
    fi
  }
#else
  d_step {
    from = floor;
    to = index;
    if
    :: to > from -> floor = to
    :: else -> from = to
    fi
  }
#endif
  d_step { from = Number(from); to = Number(to) }
  do
  :: from < to ->
#ifndef FLOOR_KEEPS
       Get(from);
       Unref(from);
#endif
       from++
  :: else -> break
  od;
  atomic { from = 0; to = 0 }
}

/* Leaves what the slot's flags were in `flags`. */
inline Exchange(index, state) {
#ifdef PLAIN_STORE
  flags = State(index);
  d_step { Touch(Number(index)); State(index) = state }
#else
  d_step {
    Touch(Number(index));
    flags = State(index);
    assert(!IsReady(flags));
    State(index) = state
  }
#endif
}

/* Does what `flags` ask for. A model with sleepers defines Wake(). */
inline Settle(index) {
#ifdef WAKES
  if
  :: flags & SLEEPERS -> Wake(index)
  :: else
  fi;
#endif
  if
  :: flags & DEAD -> flags = 0; Evict(Number(index), (index) % SLOTS)
  :: else -> flags = 0
  fi
}

inline Claim(count) { /* Leaves the index in `t`, or sets `refused`. */
  d_step {
    refused = closed;
    t = claim;
    if
    :: !closed -> claim = claim + count
    :: else
    fi
  }
}

inline Enter() { inside = true }
inline Leave() {
  atomic {
    inside = false;
    d = 0;
    do
    :: d < SEGMENTS ->
         if
         :: segment[d].kept -> segment[d].kept = false; segment[d].gone = true
         :: else
         fi;
         d++
    :: else -> break
    od;
    d = 0
  }
}

/* Looks for a segment and takes a reference, or pin; `found` says whether. Two
   steps inside the gate: between the address and the count. */
inline Hold(number) {
  d_step { MakeIfNone(number); found = segment[number].entry == THERE }
  if
  :: found ->
       d_step {
         Touch(number);
         if
         :: strict && segment[number].refs > 0 -> segment[number].refs++
         :: !strict && segment[number].pins > 0 -> segment[number].pins++
         :: else -> found = false
         fi
       }
  :: else
  fi
}

/* Of a reader of what comes: `last` if nothing does. */
inline PlaceAtEnd() {
  index = (closed -> end : claim);
#ifdef LATE_READERS_LOOK
  last = false
#else
  last = closed
#endif
}

/* Leaves a reader's place in `index`, and in `held` its segment, or NOTHING if
   it gets nothing. Each model defines Place(). */
inline Attach() {
  atomic { !mutex -> mutex = true; inside = true }
  do
  :: true ->
     atomic {
       Place()
     }
     if
     :: last -> break
     :: else
     fi;
     Hold(Number(index));
     if
     :: found -> break
     :: else
     fi
  od;
  Leave();
  d_step {
    if
    :: last -> held = NOTHING
    :: else -> held = Number(index); readers++
    fi;
    last = false;
    found = false;
    mutex = false
  }
}

/* From one segment to the next, for who has a reference. */
inline Follow() {
  d_step {
    MakeIfNone(held + 1);
    assert(segment[held + 1].entry == THERE && segment[held + 1].refs > 0);
    Touch(held + 1);
    segment[held + 1].refs++
  }
  Unref(held);
  held++
}

/* Leaves in `found` whether the segment is pinned. */
inline Pin(number) {
  atomic { !mutex -> mutex = true; inside = true }
  Hold(number);
  Leave();
  mutex = false
}

/* Of a lossy reader that is below the floor: PinFloor(), and SafePlace(), which
   goes back to where a claim, or the segment, begins. */
inline CatchUp() {
  do
  :: true ->
     atomic { place = floor; next = Number(place) }
     Pin(next);
     if
     :: found -> break
     :: else
     fi
  od;
  found = false;
#ifndef NO_SAFE_PLACE
  if
  :: IsReady(State(place))
  :: else ->
       do
       :: place % SLOTS != 0 && !IsReady(State(place - 1)) -> place--
       :: else -> break
       od
  fi;
#endif
  atomic {
    Touch(next);
    if
    :: index > place -> place = index
    :: else -> assert(place <= floor)
    fi;
    assert(Number(place) == next);
    index = place;
    place = held;
    held = next
  }
  Unpin(place);
  place = 0
}

/* From one segment to the next, for a lossy reader. */
inline FollowOrCatchUp() {
  Pin(held + 1);
  if
  :: found ->
       atomic { found = false; place = held; held++ }
       Unpin(place);
       place = 0
  :: else -> CatchUp()
  fi
}

/* When all have ended: what is below the floor is gone, and only that; of the
   rest nobody but the log, and the segment before, has a reference. */
inline NothingIsLeft() {
  d_step {
    assert(!inside && !mutex && readers == 0);
    d = 0;
    do
    :: d < SEGMENTS ->
         assert(!segment[d].kept);
         if
         :: d < Number(floor) ->
              assert(segment[d].entry == FREED && segment[d].gone)
         :: d >= Number(floor) && segment[d].entry == THERE ->
              assert(!segment[d].gone && segment[d].pins == 1);
#ifndef NO_CHAIN
              assert(segment[d].refs == (d > Number(floor) -> 2 : 1));
#endif
         :: else -> assert(segment[d].entry == NONE)
         fi;
         d++
    :: else -> break
    od
  }
}
