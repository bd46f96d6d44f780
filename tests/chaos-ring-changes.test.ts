import { testFamily } from './chaos/short-form.ts'

/** A part of `npm run chaos`, in its short form. */
testFamily('ring-changes')
