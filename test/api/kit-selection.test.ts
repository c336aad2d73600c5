import test from 'ava';
import {selectKit} from '../../api/kit-selection.ts';

const selects = test.macro(
  (
    t,
    {
      host = 'localhost',
      kitHeader = null,
      path,
      expect,
    }: {host?: string; kitHeader?: string | null; path: string; expect: Record<string, unknown>},
  ) => {
    t.like(selectKit({host, kitHeader, path}), expect);
  },
);

test('a cron path on a neutral host', selects, {
  path: '/users/root/crontab',
  expect: {part: 'cron', prefixed: false},
});
test('entries below a user', selects, {path: '/users/root/entries/abcd', expect: {part: 'cron'}});
test('a script that looks like a user', selects, {
  path: '/users/42',
  expect: {part: 'exec', prefixed: false},
});
test('health', selects, {path: '/healthz', expect: {part: 'health'}});
test('a prefix', selects, {path: '/api/v1/cron/users/me/entries', expect: {part: 'cron', prefixed: true}});
test('a prefix must end at a slash', selects, {
  path: '/api/v1/cronies',
  expect: {part: 'exec', prefixed: false},
});
test('control', selects, {path: '/api/v1/control/events', expect: {part: 'control'}});
test('an in-container name', selects, {host: 'hoody-exec:80', path: '/crontab', expect: {part: 'exec'}});
test('a public host label', selects, {host: '0123-cron-1.example.org', path: '/x', expect: {part: 'cron'}});
test('a kit below a domain', selects, {
  host: 'pipe.example.org',
  path: '/x',
  expect: {part: 'pipe', byHost: true},
});
test('a kit alone is a name like another', selects, {host: 'pipe', path: '/x', expect: {part: 'exec'}});
test('n is notifications', selects, {
  host: '0123-n-1.example.org',
  path: '/x',
  expect: {part: 'notifications'},
});
test('S79: a pipe host needs no number, and no prefix', selects, {
  host: 'prod-pipe.containers.hoody.com',
  path: '/replay',
  expect: {part: 'pipe', prefixed: false},
});
test('the kit header wins over the path', selects, {
  kitHeader: 'exec',
  path: '/users/root/crontab',
  expect: {part: 'exec'},
});
test('management on the exec host', selects, {
  host: 'hoody-exec',
  path: '/api/v1/exec/scripts/list',
  expect: {part: 'exec', prefixed: true},
});
test('a kit host has no control routes', selects, {
  host: 'hoody-exec',
  path: '/api/v1/control',
  expect: {part: 'exec', prefixed: false},
});

test('the data directory has kits of its own', (t) => {
  for (const kit of ['sqlite', 'files'] as const) {
    t.deepEqual(selectKit({host: 'localhost', kitHeader: null, path: `/api/v1/${kit}/x`}), {
      part: kit,
      prefixed: true,
      byHost: false,
    });
    for (const host of [`hoody-${kit}`, `project-container-${kit}-1.node.example`])
      t.like(selectKit({host, kitHeader: null, path: '/x'}), {part: kit, prefixed: false, byHost: true});
    t.like(selectKit({host: 'localhost', kitHeader: kit, path: '/hello'}), {part: kit, prefixed: false});
  }
});
