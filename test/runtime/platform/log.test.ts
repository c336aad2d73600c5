import test from 'ava';
import {createLog} from '../../../runtime/platform/log.ts';

test('a record that cannot be written is lost, and what it tells of goes on', (t) => {
  const written: string[] = [];
  let full = true;
  const log = createLog(
    (line) => {
      if (full) throw Object.assign(new Error('no space left on device'), {code: 'ENOSPC'});
      written.push(line);
    },
    () => 0,
  );
  t.notThrows(() => log.error('lost'));
  full = false;
  log.info('kept');
  t.deepEqual(
    written.map((line) => JSON.parse(line).message),
    ['kept'],
  );
});
