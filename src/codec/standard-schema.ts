/**
 * What is used of Standard Schema v1 (https://standardschema.dev), typed by structure.
 *
 * zod, valibot, ArkType and others put the same small interface under `~standard`, so a cache takes any of them and depends on none.
 */
import { asError, ConfigurationError } from '../errors.ts'

export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Whether something offers the interface; a function may, as ArkType's do. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard = (value as { '~standard'?: { version?: unknown; validate?: unknown } })['~standard']
  return standard?.version === 1 && typeof standard.validate === 'function'
}

/**
 * What the schema makes of a value. A schema that throws has refused it.
 * @param what for messages: `cache 'product'` @throws ConfigurationError when the schema answers with a promise
 */
export function validated<V>(
  value: unknown,
  schema: StandardSchema<V>,
  what: string,
): { readonly valid: true; readonly value: V } | { readonly valid: false; readonly issues: string } {
  let result: SchemaResult<V> | Promise<SchemaResult<V>>
  try {
    result = schema['~standard'].validate(value)
  } catch (thrown) {
    return { valid: false, issues: `the schema threw a ${asError(thrown).name}` }
  }
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new ConfigurationError(
      `${what}: validate: needs a synchronous schema, but got: one of ${schema['~standard'].vendor} that answers later`,
    )
  }
  return result.issues === undefined ? { valid: true, value: result.value } : { valid: false, issues: issuesText(result.issues) }
}

/** `price: expected number; items.0: required`: the first three issues. */
function issuesText(issues: readonly SchemaIssue[]): string {
  const texts = issues.slice(0, 3).map((issue) => {
    const path = (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.')
    return path === '' ? issue.message : `${path}: ${issue.message}`
  })
  return issues.length > 3 ? `${texts.join('; ')}; and ${issues.length - 3} more` : texts.join('; ')
}
