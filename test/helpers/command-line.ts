import {join} from 'node:path';

/** The command line as it runs in a checkout. */
export const sourceCommandLine: readonly [string, ...string[]] = [
  process.execPath,
  join(import.meta.dirname, '../../cli/main.ts'),
];

const {BRANCHTAB_TEST_PROGRAM: program} = process.env;

/** As it ships, see built-program.ts; benches and the soak, which no AVA starts, take that of the checkout. */
export const commandLine: readonly [string, ...string[]] =
  program === undefined ? sourceCommandLine : [program];
