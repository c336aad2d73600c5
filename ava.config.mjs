import {builtProgram} from './test/helpers/built-program.ts';

// `npm run test:ci-long` runs what takes too long for every change; everything else never does.
const long = process.env.BRANCHTAB_TEST_LONG === '1';

export default async () => ({
  extensions: {ts: 'module'},
  files: long ? ['test/long/**/*.test.ts'] : ['test/**/*.test.ts', '!test/long/**'],
  timeout: long ? '600s' : '120s',
  concurrency: 4,
  environmentVariables: {BRANCHTAB_TEST_PROGRAM: await builtProgram()},
});
