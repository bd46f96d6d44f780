/**
 * A reporter for `node:test` that writes what ended as JSON, a line each, for `test-files.ts` to read.
 *
 * Plain JavaScript, for node loads it before the test file.
 */
import { inspect } from 'node:util'

/** How the reason begins of a test that found, while it ran, that the machine let nothing be measured. */
const UNMEASURED = 'not measured: '

export default async function* testReporter(events) {
  for await (const { type, data } of events) {
    if ((type === 'test:pass' || type === 'test:fail') && data.details.type !== 'suite') {
      const error = data.details.error
      yield `${JSON.stringify({
        name: data.name,
        line: data.line,
        passed: type === 'test:pass',
        passedOver: data.skip !== undefined || data.todo !== undefined,
        unmeasured: typeof data.skip === 'string' && data.skip.startsWith(UNMEASURED) ? data.skip.slice(UNMEASURED.length) : undefined,
        onlyBySubtests: error?.failureType === 'subtestsFailed',
        error: error === undefined ? undefined : inspect(error.cause ?? error, { depth: 6 }),
      })}\n`
    } else if (type === 'test:fail' && data.details.error?.failureType !== 'subtestsFailed') {
      // A suite that fails by itself: an error in its body or in a hook.
      const error = data.details.error
      yield `${JSON.stringify({ name: data.name, line: data.line, passed: false, error: inspect(error.cause ?? error, { depth: 6 }) })}\n`
    }
    // The last of all: without it the file was broken off, whatever has passed until then.
    if (type === 'test:summary') yield `${JSON.stringify({ isWhole: true })}\n`
  }
}
