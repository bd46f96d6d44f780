/**
 * How many statements the caches spared the database: what the same read would have cost straight on it, counted where it is served.
 *
 * A product is one statement straight on the database (page and stock in one), so it counts one, and only when page and stock both came
 * from the cache. A profile, a cart and an order that is looked at count one each. What a cart update reads is not counted, for the
 * database judges it; nor are names and prices beside a cart's lines: so the figure is a lower bound, in the unit of `queries`.
 */
import type { ReadOutcome } from 'ringtail'

export class Avoided {
  statements = 0

  /** A read that without the cache is one statement. */
  read(outcome: ReadOutcome<unknown>['outcome']): void {
    if (outcome !== 'miss') this.statements++
  }
}
