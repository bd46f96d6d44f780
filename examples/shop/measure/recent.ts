/** The last few ids that passed by, for whoever wants one that is in use. */
const KEPT = 64

export class Recent {
  readonly #ids: string[] = []
  #next = 0

  add(id: string): void {
    this.#ids[this.#next++ % KEPT] = id
  }

  /** One of them, in turn; undefined when nothing has passed yet. */
  any(): string | undefined {
    return this.#ids[this.#next % Math.max(1, this.#ids.length)]
  }
}
