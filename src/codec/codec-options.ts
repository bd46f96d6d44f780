/**
 * A codec's options, checked and with their defaults.
 */
import { ConfigurationError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { type Compression, zstd } from './compression.ts'
import { json } from './json.ts'
import type { Serializer } from './serializer.ts'
import { isStandardSchema, type StandardSchema } from './standard-schema.ts'

export interface CodecOptions<V> {
  /** Default: `json()`. */
  readonly serializer?: Serializer<V> | undefined
  /**
   * Default: `zstd()`, which leaves values below 4 KiB alone. `zstd({ dictionary: true })` packs small ones too, by a dictionary trained on the
   * cache's own. Entries compressed by either are read whatever is set here.
   */
  readonly compression?: Compression | undefined
  /** The shape of the values, 0 to 2^32 − 1: raise it when they change, and entries of another number are misses. Default 0. */
  readonly schema?: number | undefined
  /** Judges each value that is read, and may transform it; synchronous. zod, valibot and others offer it. */
  readonly validate?: StandardSchema<V> | undefined
  /** Bytes of a serialized value, before compression. Default 16 MiB. */
  readonly maxValueBytes?: number | undefined
}

export interface CheckedCodecOptions<V> {
  readonly serializer: Serializer<V>
  readonly compression: Compression
  readonly schema: number
  readonly validate: StandardSchema<V> | undefined
  readonly maxValueBytes: number
}

const OPTION_NAMES = ['serializer', 'compression', 'schema', 'validate', 'maxValueBytes'] as const

/** @param what for messages: `cache 'product'` @throws ConfigurationError for an option that is not what it should be */
export function checkedCodecOptions<V>(options: CodecOptions<V>, what: string): CheckedCodecOptions<V> {
  knownOptions(options, what, OPTION_NAMES)
  const serializer = options.serializer ?? json<V>()
  if (typeof serializer?.encode !== 'function' || typeof serializer.decode !== 'function') {
    throw ConfigurationError.of(`${what}: serializer`, 'a serializer such as json(), msgpack() or rawBytes()', serializer)
  }
  wholeNumber(serializer.id, `${what}: serializer.id`, 1, 15)
  const compression = options.compression ?? zstd()
  if (typeof compression?.compress !== 'function' || typeof compression.decompress !== 'function') {
    throw ConfigurationError.of(`${what}: compression`, 'a compression such as zstd() or noCompression()', compression)
  }
  wholeNumber(compression.id, `${what}: compression.id`, 0, 15)
  if (options.validate !== undefined && !isStandardSchema(options.validate)) {
    throw ConfigurationError.of(`${what}: validate`, 'a Standard Schema (zod, valibot …)', options.validate)
  }
  return Object.freeze({
    serializer,
    compression,
    schema: wholeNumber(options.schema ?? 0, `${what}: schema`, 0, 0xffff_ffff),
    validate: options.validate,
    maxValueBytes: wholeNumber(options.maxValueBytes ?? 16 * 2 ** 20, `${what}: maxValueBytes`, 1, 512 * 2 ** 20 - 2 ** 17),
  })
}
