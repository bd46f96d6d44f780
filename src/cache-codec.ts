/**
 * The codec of one cache with the dictionaries that its values are packed by: where `codec/`, which knows no nodes, and `dictionaries/` meet.
 */
import type { Clock, Random } from './clock.ts'
import type { CodecOptions } from './codec/codec-options.ts'
import { createCodec, type EnvelopeCodec } from './codec/envelope-codec.ts'
import { CacheDictionaries } from './dictionaries/cache-dictionaries.ts'
import type { Emit } from './events.ts'
import type { Outcomes } from './metrics/outcomes.ts'
import type { CacheNode } from './node/node.ts'

export interface CacheCodecParts {
  readonly cache: string
  /** Changed in place as they come and go. */
  readonly nodes: readonly CacheNode[]
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** Is told how much is packed. */
  readonly outcomes: Outcomes
}

export interface CacheCodec<V> {
  readonly codec: EnvelopeCodec<V>
  readonly dictionaries: CacheDictionaries
}

/** @param what for messages: `cache 'product'` @throws ConfigurationError for an option that is not what it should be */
export function cacheCodec<V>(options: CodecOptions<V>, what: string, { outcomes, ...parts }: CacheCodecParts): CacheCodec<V> {
  const dictionaries = new CacheDictionaries({ ...parts, packing: options.compression?.withDictionary })
  const codec = createCodec(options, what, { dictionaries, clock: parts.clock })
  outcomes.packing = () => {
    const packed = codec.packing()
    const { known, trained, notFound } = dictionaries.counts()
    return packed === undefined && notFound === 0 ? undefined : { ...NOTHING_PACKED, ...packed, known: known.length, trained, notFound }
  }
  return { codec, dictionaries }
}

/** The codec alone. @param dictionaries to which those of the cache are added, to be closed with the tier */
export function packingCodec<V>(
  options: CodecOptions<V>,
  what: string,
  { dictionaries, ...parts }: CacheCodecParts & { readonly dictionaries: Set<CacheDictionaries> },
): EnvelopeCodec<V> {
  const made = cacheCodec(options, what, parts)
  dictionaries.add(made.dictionaries)
  return made.codec
}

const NOTHING_PACKED = { dictionary: undefined, level: 0, bytesIn: 0, bytesOut: 0, tookMs: 0 }
