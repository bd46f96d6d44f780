import assert from 'node:assert/strict'
import { test } from 'node:test'
import { provideTools, type System, TOOLS, type Tool } from './system-tools.ts'

const redis = TOOLS[0] as Tool

/** A system with these commands; `install` of a known package adds its commands. */
function fakeSystem(commands: string[], options: { isRoot?: boolean; sudo?: boolean; packages?: Record<string, string[]> } = {}) {
  const present = new Set(commands)
  const ran: string[] = []
  const system: System = {
    isRoot: options.isRoot ?? false,
    has: (command) => present.has(command),
    run: (command) => {
      ran.push(command.join(' '))
      if (command.join(' ') === 'sudo -n true') {
        return options.sudo === true
      }
      if (command.includes('is-active')) {
        return command.at(-1) === 'redis-server'
      }
      const provided = options.packages?.[command.at(-1)!]
      if (command.includes('install') || command.includes('add')) {
        for (const name of provided ?? []) {
          present.add(name)
        }
        return provided !== undefined
      }
      return true
    },
  }
  return { system, ran }
}

test('what is on the PATH is not installed', () => {
  const { system, ran } = fakeSystem(['valkey-server', 'apt-get'], { isRoot: true })
  assert.deepEqual(provideTools([redis], system), [])
  assert.deepEqual(ran, [])
})

test('root installs with apt-get after an update, without a question', () => {
  const { system, ran } = fakeSystem(['apt-get'], { isRoot: true, packages: { 'redis-server': ['redis-server'] } })
  assert.deepEqual(provideTools([redis], system), [])
  assert.deepEqual(ran, [
    'apt-get update -q',
    'env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends redis-server',
  ])
})

test('a service that the installation has started is stopped', () => {
  const { system, ran } = fakeSystem(['apt-get', 'systemctl'], { isRoot: true, packages: { 'redis-server': ['redis-server'] } })
  provideTools([redis], system)
  assert.equal(ran.at(-1), 'systemctl disable --now redis-server')
})

test('a sudo without a password is used', () => {
  const { system, ran } = fakeSystem(['dnf', 'sudo'], { sudo: true, packages: { redis: ['redis-server'] } })
  assert.deepEqual(provideTools([redis], system), [])
  assert.deepEqual(ran, ['sudo -n true', 'sudo -n dnf install -y -q valkey', 'sudo -n dnf install -y -q redis'])
})

test('without a way to install, the package is named', () => {
  const { system } = fakeSystem(['apt-get', 'sudo'], { sudo: false })
  assert.match(provideTools([redis], system).join(), /redis-server or valkey-server is needed .*sudo apt-get install redis-server/)
  assert.match(provideTools([redis], fakeSystem([]).system).join(), /Install the package redis-server/)
})

test('an installation that fails is said', () => {
  const { system } = fakeSystem(['apk'], { isRoot: true })
  assert.match(provideTools([redis], system).join(), /Installing the package valkey with apk failed/)
})
