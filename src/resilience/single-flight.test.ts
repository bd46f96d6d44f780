import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverloadError } from '../errors.ts'
import { SingleFlight } from './single-flight.ts'

function flight<T>() {
  const result = Promise.withResolvers<T>()
  const landed = Promise.withResolvers<void>()
  return { result, landed, takeOff: () => ({ result: result.promise, landed: landed.promise }) }
}

const tick = () => new Promise<void>((resolve) => setImmediate(resolve))

test('those who join while a key is in flight share one result', async () => {
  const flights = new SingleFlight<number>()
  const one = flight<number>()
  let takeOffs = 0
  const join = () =>
    flights.join('k', () => {
      takeOffs++
      return one.takeOff()
    })
  const joined = [join(), join(), join()]
  one.result.resolve(7)
  assert.deepEqual(await Promise.all(joined), [7, 7, 7])
  assert.equal(takeOffs, 1)
})

test('a flight can be joined after its result, until it has landed', async () => {
  const flights = new SingleFlight<number>()
  const first = flight<number>()
  await Promise.all([flights.join('k', first.takeOff), first.result.resolve(1)])
  assert.equal(await flights.join('k', () => assert.fail('took off again')), 1)
  first.landed.resolve()
  await tick()
  const second = flight<number>()
  second.result.resolve(2)
  assert.equal(await flights.join('k', second.takeOff), 2)
})

test('a forgotten flight keeps those on board and takes nobody else', async () => {
  const flights = new SingleFlight<string>()
  const old = flight<string>()
  const onBoard = flights.join('k', old.takeOff)
  flights.forget('k')
  const fresh = flight<string>()
  const later = flights.join('k', fresh.takeOff)
  fresh.result.resolve('new')
  old.result.resolve('old')
  old.landed.resolve()
  await tick()
  assert.deepEqual(await Promise.all([onBoard, later]), ['old', 'new'])
  // The old flight's landing has not taken the new one down.
  assert.equal(flights.size, 1)
})

test('a failure reaches all who joined, and the next one takes off anew', async () => {
  const flights = new SingleFlight<string>()
  const failing = flight<string>()
  const joined = [flights.join('k', failing.takeOff), flights.join('k', failing.takeOff)]
  failing.result.reject(new Error('no'))
  failing.landed.reject(new Error('no'))
  for (const each of joined) await assert.rejects(each, /no/)
  await tick()
  assert.equal(flights.size, 0)
})

test('more keys than the limit are shed', async () => {
  const flights = new SingleFlight<string>(2)
  flights.join('a', flight<string>().takeOff)
  flights.join('b', flight<string>().takeOff)
  await assert.rejects(
    flights.join('c', () => assert.fail('took off')),
    OverloadError,
  )
})
