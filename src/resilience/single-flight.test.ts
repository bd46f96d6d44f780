import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SingleFlight } from './single-flight.ts'

test('a flight is met under its key, and under no other, until it lands', () => {
  const flights = new SingleFlight<string>()
  flights.takeOff('k', 'flight')
  assert.equal(flights.at('k'), 'flight')
  assert.equal(flights.at('other'), undefined)
  flights.land('k', 'flight')
  assert.equal(flights.at('k'), undefined)
  assert.equal(flights.size, 0)
})

test('a forgotten flight takes nobody else, and its landing does not end the one that followed', () => {
  const flights = new SingleFlight<string>()
  flights.takeOff('k', 'old')
  flights.forget('k')
  assert.equal(flights.at('k'), undefined)
  flights.takeOff('k', 'new')
  flights.land('k', 'old')
  assert.equal(flights.at('k'), 'new')
})

test('it is full at its limit, and has room again when one lands or is forgotten', () => {
  const flights = new SingleFlight<number>(2)
  flights.takeOff('a', 1)
  assert.equal(flights.isFull, false)
  flights.takeOff('b', 2)
  assert.equal(flights.isFull, true)
  flights.land('a', 1)
  assert.equal(flights.isFull, false)
  flights.takeOff('c', 3)
  flights.forget('b')
  assert.equal(flights.isFull, false)
})
