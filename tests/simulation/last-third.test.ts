import { TESTED_SEEDS, testSeeds } from './seeds-kept.ts'

testSeeds((2 * TESTED_SEEDS) / 3 + 1, TESTED_SEEDS / 3)
