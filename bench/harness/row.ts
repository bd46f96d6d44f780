/** Ringtail beside one peer. */
export interface Row {
  /** `hits-256/ioredis`; `journal-256` where the figure itself is judged; with another set-up of Ringtail than the ordinary one `hits-256/ioredis (ringtail-on-three)`. */
  readonly name: string
  /** How many times the peer's figure ours is; or our figure. */
  readonly value: number
  /** What `value` has to be at least, or with `most` at most; null: nothing is expected. */
  readonly bar: number | null
  /** Less is better: `bar` is an upper bound. */
  readonly most?: true
  /** Whether missing the bar fails the run. */
  readonly gated: boolean
  readonly ours: number
  /** null: the figure itself is judged. */
  readonly peer: number | null
  readonly unit: string
  /** The lowest and highest ratio of a single round. */
  readonly spread: readonly [number, number]
}
