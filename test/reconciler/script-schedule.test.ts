import test from 'ava';
import {readCommitted} from '../helpers/branch-files-world.ts';

test('a schedule in a script of a branch is an issue with the line to paste', async (t) => {
  const {issues} = await readCommitted(t, {
    '.hoody/exec/jobs/tick.ts': '#!/usr/bin/env bun\n// Ticks.\n  // @schedule 5 1 * * *\nreturn 1',
    '.hoody/exec/api/index.js': '// @schedule @daily\r\nreturn 1',
  });
  t.deepEqual(
    issues.map(({file, line, column, code}) => [file, line, column, code]),
    [
      ['.hoody/exec/api/index.js', 1, 4, 'schedule_in_branch'],
      ['.hoody/exec/jobs/tick.ts', 3, 6, 'schedule_in_branch'],
    ],
  );
  t.true(issues[0]?.message.endsWith('add the line: @daily curl -fsS "$HOODY_EXEC_URL/api"'));
  t.true(issues[1]?.message.endsWith('add the line: 5 1 * * * curl -fsS "$HOODY_EXEC_URL/jobs/tick"'));
});

test('the word elsewhere in a script is none', async (t) => {
  const {issues} = await readCommitted(t, {
    '.hoody/exec/a.ts': '// @scheduled by hand\nreturn 1;\n// @schedule 5 1 * * *',
    '.hoody/exec/b.md': '// @schedule 5 1 * * *',
  });
  t.deepEqual(issues, []);
});
