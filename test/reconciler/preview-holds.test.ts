import test from 'ava';
import {heldLines, namesOneOf} from '../../reconciler/preview-holds.ts';

const crontab = (text: string, user = 'root') => [{file: '.hoody/crontab', user, text, sha256: ''}];
const nothing = {all: false, jobs: []};
const liveText =
  'KEY=a\n0 1 * * * ./billing.sh\n# branchtab: name=sync\n*/5 * * * * curl -fsS http://hoody-exec/sync\n';

test('with all nothing is held, with none everything', (t) => {
  const files = {crontabs: crontab(liveText), live: null, released: nothing};
  t.deepEqual(heldLines('all', files), []);
  t.is(heldLines('none', files), 'all');
});

test('with changed the lines that live has too are held, changed and new ones run', (t) => {
  const live = {crontabs: crontab(liveText), changedPaths: []};
  const text = `${liveText}0 2 * * * ./new.sh\n`.replace('0 1 *', '30 1 *');
  t.deepEqual(heldLines('changed', {crontabs: crontab(text), live, released: nothing}), [
    'root */5 * * * * curl -fsS http://hoody-exec/sync',
  ]);
});

test('a line whose variables, options, user or script differ is not the same as live’s', (t) => {
  const live = (changedPaths: string[] = []) => ({crontabs: crontab(liveText), changedPaths});
  const held = (text: string, changed: string[] = [], user = 'root') =>
    heldLines('changed', {crontabs: crontab(text, user), live: live(changed), released: nothing}).length;
  t.is(held(liveText), 2);
  t.is(held(liveText.replace('KEY=a', 'KEY=b')), 0);
  t.is(held(liveText.replace('name=sync', 'name=sync timeout=5m')), 1);
  t.is(held(liveText, [], 'app'), 0);
  t.is(held(liveText, ['jobs/other.sh']), 2);
  t.is(held(liveText, ['jobs/billing.sh']), 1);
  t.is(held(liveText, ['.hoody/exec/sync.ts']), 1);
});

test('without knowledge of live nothing is the same', (t) => {
  t.deepEqual(heldLines('changed', {crontabs: crontab(liveText), live: null, released: nothing}), []);
});

test('what was released runs: all of it, a job by name, a line by its rule', (t) => {
  const live = {crontabs: crontab(liveText), changedPaths: []};
  const held = (released: {all: boolean; jobs: string[]}, run: 'changed' | 'none' = 'changed') =>
    heldLines(run, {crontabs: crontab(liveText), live, released});
  t.deepEqual(held({all: true, jobs: []}), []);
  t.deepEqual(held({all: false, jobs: ['sync']}), ['root 0 1 * * * ./billing.sh']);
  t.deepEqual(held({all: false, jobs: ['0 1 * * * ./billing.sh']}, 'none'), [
    'root */5 * * * * curl -fsS http://hoody-exec/sync',
  ]);
});

for (const [path, command, named] of [
  ['jobs/a.sh', 'sh -c "cd jobs && ./a.sh"', true],
  ['jobs/a.sh', '/srv/jobs/a.sh --all', true],
  ['jobs/a.sh', '/srv/jobs/aa.sh', false],
  ['.hoody/exec/rollup.ts', 'curl -fsS https://exec.example/scripts/rollup/run', true],
  ['.hoody/exec/rollup.ts', 'curl -fsS "http://hoody-exec/rollup?date=2026-01-01"', true],
  ['.hoody/exec/reports/index.ts', 'curl http://hoody-exec/reports', true],
  ['.hoody/exec/rollup.ts', 'curl http://hoody-exec/rollup-v2', false],
  ['README.md', 'true', false],
] as const) {
  test(`${command} ${named ? 'names' : 'does not name'} ${path}`, (t) => {
    t.is(namesOneOf(['other/x', path])(command), named);
  });
}
