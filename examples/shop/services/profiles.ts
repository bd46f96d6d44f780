/** User profiles: read at the start of each visit. */
import type { Profile } from '../database/load.ts'
import { USERS_TABLE } from '../database/schema.ts'
import { type Shard, shardOf } from '../database/shards.ts'
import { Recent } from '../measure/recent.ts'
import { Avoided } from './avoided.ts'
import type { ShopCaches } from './caches.ts'
import type { Outcome } from './product-pages.ts'
import { Refusal } from './refusal.ts'

export type ProfileChange = Partial<Pick<Profile, 'language' | 'newsletter'>>

export class Profiles {
  readonly #caches: ShopCaches
  readonly #shards: readonly Shard[]
  readonly #avoided: Avoided
  readonly recent = new Recent()

  constructor(caches: ShopCaches, shards: readonly Shard[], avoided = new Avoided()) {
    this.#caches = caches
    this.#shards = shards
    this.#avoided = avoided
  }

  async read(id: string): Promise<{ profile: Profile; outcome: Outcome }> {
    const { value, outcome } = await this.#caches.profiles.getWithOutcome(id)
    this.#avoided.read(outcome)
    const profile = existing(id, value)
    this.recent.add(id)
    return { profile, outcome }
  }

  change(id: string, change: ProfileChange): Promise<Profile> {
    return this.#caches.profiles.update(id, (current) => ({ ...existing(id, current), ...change }))
  }

  async readStraight(id: string): Promise<Profile> {
    const { rows } = await this.#shards[shardOf(id, this.#shards.length)]!.aside.query<{ value: Profile }>({
      name: 'profile',
      text: `select value from ${USERS_TABLE.table} where id = $1`,
      values: [id],
    })
    return existing(id, rows[0]?.value)
  }
}

function existing(id: string, profile: Profile | undefined): Profile {
  if (profile === undefined) throw new Refusal(404, `there is no user ${id}`)
  return profile
}
