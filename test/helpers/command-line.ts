import {join} from 'node:path';

/** The command line as it ships, see built-program.ts. */
export const commandLine = [process.env.BRANCHTAB_TEST_PROGRAM ?? ''] as const;
/** As it runs in a checkout. */
export const sourceCommandLine = [process.execPath, join(import.meta.dirname, '../../cli/main.ts')] as const;
