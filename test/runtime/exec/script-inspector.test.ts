import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createScriptInspector} from '../../../runtime/exec/script-inspector.ts';
import {ownCommand} from '../../../runtime/platform/child-process.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {execHttp} from '../../helpers/exec-http.ts';

function setup(t: ExecutionContext) {
  const directory = mkdtempSync(join(tmpdir(), 'bt-inspector-'));
  const command = ownCommand(resolve('runtime/start.ts'));
  const inspector = createScriptInspector({command, directory, clock: systemClock});
  t.teardown(() => {
    inspector.stop();
    rmSync(directory, {recursive: true, force: true});
  });
  return inspector;
}

const tooDeep = {
  parentheses: `${'('.repeat(200_000)}1${')'.repeat(200_000)}`,
  lists: `${'['.repeat(200_000)}${']'.repeat(200_000)}`,
  functions: `${'a=>'.repeat(200_000)}1`,
  negations: `${'!'.repeat(500_000)}1`,
};

for (const [what, text] of Object.entries(tooDeep)) {
  test(`${what} nested deep enough to bring the parser down are an issue, and the next script is checked`, async (t) => {
    const inspector = setup(t);
    const [bad, good] = await Promise.all([
      inspector.check({path: 'bad.ts', text}),
      inspector.check({path: 'good.ts', text: 'return 1'}),
    ]);
    t.like(bad, {length: 1, 0: {file: 'bad.ts', line: 1, column: 1, code: 'script_unparsable'}});
    t.deepEqual(good, []);
  });
}

test('answers belong to their questions', async (t) => {
  const inspector = setup(t);
  const paths = Array.from({length: 20}, (_, index) => `m${index}`);
  const found = await Promise.all(
    paths.map((module) => inspector.ask('imports', {path: 'a.ts', text: `import '${module}'`})),
  );
  t.deepEqual(
    found.map(([one]) => one?.module),
    paths,
  );
});

test('a script that brings the parser down is refused over HTTP, and the runtime goes on', async (t) => {
  const {json} = await execHttp(t);
  const content = tooDeep.parentheses;
  t.like(await json('POST', '/api/v1/exec/scripts/write', {path: 'a.ts', content}), {
    status: 400,
    body: {code: 'SCRIPT_INVALID', details: {validation: {0: {code: 'script_unparsable'}}}},
  });
  t.like(await json('POST', '/api/v1/exec/validate/script', {code: content}), {
    status: 200,
    body: {valid: false},
  });
  for (const path of ['dependencies', 'return-type'])
    t.is((await json('POST', `/api/v1/exec/validate/${path}`, {code: content})).status, 400);
  t.is((await json('POST', '/api/v1/exec/scripts/write', {path: 'a.ts', content: 'return 1'})).status, 200);
});
