import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedisServer } from 'ringtail/testing'
import { tryNodes } from './try-nodes.ts'

let open: RedisServer
let locked: RedisServer

before(async () => {
  open = await startRedisServer()
  locked = await startRedisServer({ args: ['--requirepass', 'secret'] })
})
after(() => Promise.all([open?.stop(), locked?.stop()]))

const refused = (told: RegExp) => (error: Error) => error.name === 'UsageError' && told.test(error.message) && !/secret/.test(error.message)

test('nodes that answer and are different servers are fine', async () => {
  await tryNodes([open.url, `redis://:secret@127.0.0.1:${locked.port}`])
})

test('two addresses of one server are refused, whether of two names or of two database numbers', async () => {
  const own = /--nodes: needs a server of its own for each node, but got: redis:.*, which is the server of redis:/
  await assert.rejects(tryNodes([open.url, `redis://localhost:${open.port}`]), refused(own))
  await assert.rejects(tryNodes([`redis://127.0.0.1:${open.port}/0`, `redis://127.0.0.1:${open.port}/1`]), refused(own))
})

test('a node that cannot be used is told with the reason that it gave', async () => {
  await assert.rejects(tryNodes([open.url, `redis://:secret2@127.0.0.1:${locked.port}`]), refused(/:…@127.0.0.1:\d+: WRONGPASS/))
  await assert.rejects(tryNodes([`redis://127.0.0.1:${locked.port}`]), refused(/NOAUTH/))
  await assert.rejects(
    tryNodes(['redis://127.0.0.1:1']),
    refused(/--nodes: needs nodes that answer, but got: redis:\/\/127.0.0.1:1: .*ECONNREFUSED/),
  )
})
