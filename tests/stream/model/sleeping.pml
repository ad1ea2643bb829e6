/* Blocking readers, LogReader::Wait() and the publishers that wake them: each
   publisher wakes one, whomever the kernel chooses, each who was waiting wakes
   two more, and some stop waiting at their deadlines. Nobody sleeps for ever on
   a slot that is ready. Segments do not matter here. */
#define READERS 3
#define SLOTS 2
#define SLEEPERS 1
#define READY 8

byte slot[SLOTS];
byte sleepers;
byte asleep[READERS]; /* 1 + the slot, 0 if awake. */

/* Wakes up to `most` that sleep on the slot, whichever. */
inline Wake(which, most) {
  left = most;
  do
  :: atomic { left > 0 && asleep[0] == (which) + 1 -> asleep[0] = 0; left-- }
  :: atomic { left > 0 && asleep[1] == (which) + 1 -> asleep[1] = 0; left-- }
  :: atomic { left > 0 && asleep[2] == (which) + 1 -> asleep[2] = 0; left-- }
  :: atomic {
       left == 0 || (asleep[0] != (which) + 1 && asleep[1] != (which) + 1 &&
                     asleep[2] != (which) + 1) -> left = 0; break
     }
  od
}

proctype Publisher(byte which) {
  byte left, flags;
#ifdef PLAIN_STORE
  flags = slot[which];
  slot[which] = READY;
#else
  d_step { flags = slot[which]; slot[which] = READY }
#endif
  if
  :: flags == SLEEPERS -> Wake(which, 1)
  :: else
  fi
}

/* `deadline`: at any moment, once, and then it goes on without. */
proctype Reader(byte me; bool deadline) {
  byte at, left;
  bool ready, others, expired;
  do
  :: at == SLOTS -> break
  :: at < SLOTS && slot[at] == READY -> at++
  :: at < SLOTS ->
       sleepers++;
       ready = slot[at] == READY;
       do
       :: ready || expired -> break
       :: !ready && !expired ->
            d_step {
              if
              :: slot[at] != READY -> slot[at] = SLEEPERS; ready = false
              :: else -> ready = true
              fi
            }
            if
            :: !ready ->
#ifdef SLEEP_WITHOUT_LOOK
                 asleep[me] = at + 1;
#else
                 d_step {
                   if
                   :: slot[at] == SLEEPERS -> asleep[me] = at + 1
                   :: else
                   fi
                 }
#endif
                 if
                 :: asleep[me] == 0
                 :: atomic { deadline -> deadline = false; expired = true; asleep[me] = 0 }
                 fi
            :: else
            fi;
            ready = slot[at] == READY
       od;
       atomic { others = sleepers > 1; sleepers-- }
       if
#if defined(NO_CHAIN)
#elif defined(WOKEN_ONLY)
       :: ready && others && !expired -> Wake(at, 2)
#else
       :: ready && others -> Wake(at, 2)
#endif
       :: else
       fi;
       atomic { ready = false; others = false; expired = false }
  od
}

init {
  atomic {
    run Publisher(0);
    run Publisher(1);
    run Reader(0, true);
    run Reader(1, false);
    run Reader(2, false)
  }
  _nr_pr == 1;
  assert(sleepers == 0)
}
