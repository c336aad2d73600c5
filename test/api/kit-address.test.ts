import test from 'ava';
import {kitAddress} from '../../api/kit-address.ts';

const id = '0123456789abcdef01234567';
const domains = ['localhost', 'hoody.com'];

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
  {host: `${id}0-exec-1.localhost`, container: `${id}0`, kit: 'exec', guessable: true},
] as const) {
  test(`S26 S79: ${host} is a kit's host`, (t) => {
    const target = `/c/${id}/exec/%2e%2e//x?y=/#`;
    t.deepEqual(kitAddress({host, target}, domains), {
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
    t.is(kitAddress({host, target: '/users/root/crontab'}, domains), null);
  });
}

test('on any other host a path below /c/ names the kit, and the rest of it is the path', (t) => {
  for (const [target, path] of [
    [`/c/${id}/exec`, '/'],
    [`/c/${id}/exec?x`, '/?x'],
    [`/c/${id}/exec/a/../b`, '/a/../b'],
  ] as const) {
    t.deepEqual(kitAddress({host: 'localhost:7070', target}, domains), {
      container: id,
      kit: 'exec',
      path,
      byHost: false,
      guessable: false,
    });
  }
});
