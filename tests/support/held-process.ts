/**
 * A process that is held up, as by a stopped machine or a long collection: its calls leave when it goes on, and the fleet's time goes on without it.
 */
import type { CacheNode, Control } from '../../src/index.ts'

const CALLS = ['getMany', 'apply', 'lease', 'run', 'stats', 'ping']

export class HeldProcess {
  #held: (() => void)[] | undefined
  #holdAt: ((name: keyof Control, record: string) => boolean) | undefined

  /** Held up at the first call of a control record for which this is true. */
  holdAt(isHeldAt: (name: keyof Control, record: string) => boolean): void {
    this.#holdAt = isHeldAt
  }

  get isHeld(): boolean {
    return this.#held !== undefined
  }

  goOn(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const go of held) go()
  }

  /** To be given to `RingFleet.join`. */
  readonly through = (node: CacheNode): CacheNode => {
    const control: Control = {
      get: async (name, call) => {
        await this.#pass('get', name)
        return node.control.get(name, call)
      },
      compareAndSet: async (name, expected, next, call) => {
        await this.#pass('compareAndSet', name)
        return node.control.compareAndSet(name, expected, next, call)
      },
    }
    return new Proxy(node, {
      get: (target, name) => {
        if (name === 'control') return control
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        if (!CALLS.includes(String(name))) return value.bind(target)
        return async (...given: unknown[]) => {
          await this.#wait()
          return value.apply(target, given)
        }
      },
    })
  }

  async #pass(name: keyof Control, record: string): Promise<void> {
    if (this.#holdAt?.(name, record) === true) {
      this.#holdAt = undefined
      this.#held ??= []
    }
    await this.#wait()
  }

  #wait(): Promise<void> {
    const held = this.#held
    return held === undefined ? Promise.resolve() : new Promise((resolve) => void held.push(resolve))
  }
}
