import test from 'ava';
import {type KitAlias, kitAddress} from '../../api/kit-address.ts';

const id = '0123456789abcdef01234567';
const hosts = {
  domains: ['localhost', 'hoody.com'],
  aliases: new Map<string, KitAlias>([
    ['oncall', {container: 'main', kit: 'cron', public: false}],
    ['live', {container: 'production', public: true}],
    ['by-id', {container: `ctr_${id}`, kit: 'exec', public: false}],
  ]),
};

for (const {host, container, kit, guessable} of [
  {host: `ctr_${id}-cron-1.hoody.com`, container: id, kit: 'cron', guessable: false},
  {host: `${id}-cron-1.hoody.com`, container: id, kit: 'cron', guessable: false},
  {host: `CTR_${id.toUpperCase()}-Exec-2.Localhost:7070`, container: id, kit: 'exec', guessable: false},
  {host: `${id}-pipe-1.localhost.`, container: id, kit: 'pipe', guessable: false},
  {host: `${id}-pipe.localhost:7070`, container: id, kit: 'pipe', guessable: false},
  {host: 'prod-pipe.hoody.com', container: 'prod', kit: 'pipe', guessable: true},
  {host: 'prod-pipe-1-pipe.hoody.com', container: 'prod-pipe-1', kit: 'pipe', guessable: true},
  {host: `${id}-n-1.localhost`, container: id, kit: 'notifications', guessable: false},
  {host: `${id}-notifications-9999.localhost`, container: id, kit: 'notifications', guessable: false},
  {host: 'ctr_4d72b9-cron-1.hoody.com', container: 'ctr_4d72b9', kit: 'cron', guessable: false},
  {host: 'main-1f0c9a3e-cron-1.hoody.com', container: 'main-1f0c9a3e', kit: 'cron', guessable: true},
  {host: 'a-exec-1-cron-1.hoody.com', container: 'a-exec-1', kit: 'cron', guessable: true},
  {host: `${'a'.repeat(24)}-${id}-cron-1.local.hoody.com`, container: id, kit: 'cron', guessable: false},
  {host: `${id}0-exec-1.localhost`, container: `${id}0`, kit: 'exec', guessable: true},
] as const) {
  test(`S26 S79: ${host} is a kit's host`, (t) => {
    const target = `/c/${id}/exec/%2e%2e//x?y=/#`;
    t.deepEqual(kitAddress({host, target}, hosts), {
      container,
      kit,
      path: target,
      byHost: true,
      guessable,
    });
  });
}

for (const host of [
  '',
  'localhost',
  'hoody.com',
  `${id}.hoody.com`,
  `${id}-cron-1.local.hoody.com`,
  `${'a'.repeat(24)}-${id}-cron-1.other.hoody.com`,
  `oncall.local.hoody.com`,
  `${id}-cron.hoody.com`,
  `${id}-cron-0.hoody.com`,
  `${id}-cron-01.hoody.com`,
  `${id}-cron-10000.hoody.com`,
  `${id}-cron--1.hoody.com`,
  `${id}-ftp-1.hoody.com`,
  `${id}-control-1.hoody.com`,
  '-cron-1.hoody.com',
  'cron-1.hoody.com',
  'pipe.hoody.com',
  '-pipe.hoody.com',
  'prod-pipe.containers.hoody.com',
  `x.${id}-cron-1.hoody.com`,
  `${id}-cron-1.x.hoody.com`,
  `${id}-cron-1.hoody.com.evil.example`,
  `${id}-cron-1.evil.example`,
  `${id}-cron-1.evilhoody.com`,
  `${id}-cron-1`,
  `${id}-cron-1.hoody.com:x`,
  `${id}-cron-1.hoody.com, localhost`,
  `evil@${id}-cron-1.hoody.com`,
  `${id}%2dcron-1.hoody.com`,
]) {
  test(`${JSON.stringify(host)} is no kit's host`, (t) => {
    t.is(kitAddress({host, target: '/users/root/crontab'}, hosts), null);
  });
}

for (const [host, expected] of [
  ['oncall.hoody.com', {container: 'main', kit: 'cron', guessable: true}],
  ['oncall-exec-1.hoody.com', {container: 'main', kit: 'exec', guessable: true}],
  ['live-pipe.hoody.com', {container: 'production', kit: 'pipe', guessable: false}],
  ['live-n-1.hoody.com:8080', {container: 'production', kit: 'notifications', guessable: false}],
  ['by-id.localhost', {container: id, kit: 'exec', guessable: true}],
] as const) {
  test(`S43 S79: ${host} is an alias`, (t) => {
    t.deepEqual(kitAddress({host, target: '/x'}, hosts), {...expected, path: '/x', byHost: true});
  });
}

for (const host of [
  'live.hoody.com',
  'oncall',
  'oncall.evil.com',
  'oncall.x.hoody.com',
  'on-call.hoody.com',
  '__proto__.hoody.com',
]) {
  test(`${host} is no alias`, (t) => {
    t.is(kitAddress({host, target: '/x'}, hosts), null);
  });
}

test('on any other host a path below /c/ names the kit, and the rest of it is the path', (t) => {
  for (const [target, path] of [
    [`/c/${id}/exec`, '/'],
    [`/c/${id}/exec?x`, '/?x'],
    [`/c/${id}/exec/a/../b`, '/a/../b'],
  ] as const) {
    t.deepEqual(kitAddress({host: 'localhost:7070', target}, hosts), {
      container: id,
      kit: 'exec',
      path,
      byHost: false,
      guessable: false,
    });
  }
});
