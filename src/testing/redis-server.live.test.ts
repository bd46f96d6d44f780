import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../clock.ts'
import { startRedisServer } from './redis-server.ts'

const LIVE = { timeout: 30_000 }

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const turn = (): Promise<void> => new Promise((resolve) => systemClock.soon(resolve))

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

test('a server answers once it is started, says what it is, and is gone once it is stopped', LIVE, async () => {
  const server = await startRedisServer({ maxMemory: 10_000_000 })
  assert.match(server.version, /^\d+\.\d+/)
  assert.equal(server.url, `redis://127.0.0.1:${server.port}`)
  const socket = connect(server.port, '127.0.0.1')
  socket.write('CONFIG GET maxmemory*\r\n')
  const [reply] = await once(socket, 'data')
  assert.match(String(reply), /10000000[\s\S]*volatile-lfu|volatile-lfu[\s\S]*10000000/)
  socket.destroy()
  await server.stop()
  await server.stop()
  assert.equal(isRunning(server.pid), false)
})

test('a server that still loads its snapshot has not started, though it answers INFO', LIVE, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-redis-test-'))
  const args = ['--dir', folder, '--dbfilename', 'snapshot.rdb']
  const told = async (port: number, command: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${command}\r\n`)
    const [reply] = await once(socket, 'data')
    socket.destroy()
    return String(reply)
  }
  const before = await startRedisServer({ args })
  await told(before.port, `EVAL "for n = 1, 400 do redis.call('set', n, n) end" 0`)
  await told(before.port, 'SAVE')
  await before.kill()
  const server = await startRedisServer({ args: [...args, '--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'] })
  assert.equal(await told(server.port, 'PING'), '+PONG\r\n')
  assert.equal(await told(server.port, 'DBSIZE'), ':400\r\n')
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('a frozen server is stopped all the same', LIVE, async () => {
  const server = await startRedisServer()
  server.pause()
  await server.stop()
  assert.equal(isRunning(server.pid), false)
})

test('a port that is taken and an argument that is wrong are told with what the server said', LIVE, async () => {
  const server = await startRedisServer()
  try {
    await assert.rejects(startRedisServer({ port: server.port }), { code: 'UNAVAILABLE', message: /in use/ })
  } finally {
    await server.stop()
  }
  await assert.rejects(startRedisServer({ args: ['--no-such-option', '1'] }), { code: 'UNAVAILABLE', message: /no-such-option/ })
})

for (const [how, end] of [
  ['throws', "throw new Error('a fault')"],
  ['leaves without stopping it', ''],
  ['is killed', "process.kill(process.pid, 'SIGKILL')"],
] as const) {
  test(`a server ends, and its folder goes, when the process that started it ${how}`, LIVE, async () => {
    // A folder for temporary files of its own, to see that nothing is left in it.
    const folder = mkdtempSync(join(tmpdir(), 'ringtail-orphan-'))
    try {
      const script = `import { startRedisServer } from './redis-server.ts'
        const { port } = await startRedisServer()
        await new Promise((resolve) => process.stdout.write(String(port), resolve))
        ${end}`
      const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
        cwd: import.meta.dirname,
        env: { ...process.env, TMPDIR: folder },
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      let printed = ''
      parent.stdout.on('data', (bytes) => {
        printed += String(bytes)
      })
      await once(parent, 'close')
      const port = Number(printed)
      assert.ok(port > 1)
      while (await takesConnections(port)) await turn()
      while (readdirSync(folder).length > 0) await turn()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}
