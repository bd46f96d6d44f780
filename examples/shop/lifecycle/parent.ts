/**
 * Tells when the process that started this one is gone.
 *
 * Nobody forwards a Ctrl-C any more once the launcher was killed outright; without this the shop would run on, on its own. The system
 * gives an orphan another parent, which is all that shows.
 */
const LOOK_EVERY_MS = 500

/** @param onGone told once @param parentNow the process's parent @returns the way to stop looking */
export function watchParent(onGone: () => void, parentNow: () => number = () => process.ppid, everyMs = LOOK_EVERY_MS): () => void {
  const parent = parentNow()
  const looking = setInterval(() => {
    if (parentNow() === parent) return
    clearInterval(looking)
    onGone()
  }, everyMs)
  looking.unref()
  return () => clearInterval(looking)
}
