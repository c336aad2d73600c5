import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {text} from 'node:stream/consumers';
import test from 'ava';

const soak = join(import.meta.dirname, '../soak/soak.ts');

test('two minutes of pushes, kills and edits leave no process, descriptor, memory or disk behind', async (t) => {
  // Beside the two minutes, the controller and its branches start and come to rest twice.
  t.timeout(15 * 60_000);
  const child = spawn(process.execPath, [soak, '--minutes', '2'], {stdio: ['ignore', 'pipe', 'pipe']});
  t.teardown(() => child.kill('SIGKILL'));
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  t.log(stdout);
  t.is(code, 0, `${stdout}\n${stderr}`);
});
