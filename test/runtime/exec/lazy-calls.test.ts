import {mkdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {deploymentOf, execWorld} from '../../helpers/exec-world.ts';

test('a call that finds no room to begin is told so, and the next one works when there is', async (t) => {
  const {exec, call, directory} = await execWorld(t);
  await exec.deploy(deploymentOf({'a.ts': 'return "a"'}));
  const cache = join(directory, 'exec/scripts/.cache');
  rmSync(cache, {recursive: true, force: true});
  writeFileSync(cache, '');
  const answer = await call('/a');
  t.is(answer.status, 500);
  t.like(await answer.json(), {code: 'INTERNAL_ERROR'});
  rmSync(cache);
  mkdirSync(cache);
  t.is(await (await call('/a')).text(), 'a');
});
