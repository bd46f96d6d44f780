/**
 * The beginning of a capture: options checked, the mode's way to follow chosen, and the first try awaited.
 *
 * A database that does not answer is tried again for as long as the capture is open; one that is not prepared is the caller's mistake.
 */
import type { Capture, CaptureOptions } from './capture.ts'
import { checkedCapture } from './capture-options.ts'
import { type CaptureParts, CaptureRun } from './capture-run.ts'
import { followLog } from './follow-log.ts'
import { followOutbox } from './follow-outbox.ts'

/** Resolves when it follows, waits for another, or could not connect. @throws ConfigurationError */
export async function startCapture(options: CaptureOptions, parts: CaptureParts): Promise<Capture> {
  const checked = checkedCapture(options)
  const run = new CaptureRun(checked, parts, checked.mode === 'outbox' ? followOutbox : followLog)
  try {
    await run.first
  } catch (thrown) {
    await run.close()
    throw thrown
  }
  return run
}
