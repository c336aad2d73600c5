import test from 'ava';
import {refuseForeign, refuseMisdirected} from '../../api/host-guard.ts';
import {AppError} from '../../schemas/errors.ts';

const allowed = ['branchtab.example.org', '*.containers.example.org'];

for (const host of [
  '127.0.0.1:7070',
  '[::1]:80',
  '10.0.0.7',
  'localhost',
  'LOCALHOST:80',
  'a.localhost',
  'hoody-exec',
  'hoody-cron:8080',
  'branchtab.example.org',
  'Branchtab.Example.org.',
  'x-exec-1.containers.example.org',
]) {
  test(`serves ${host}`, (t) => {
    t.notThrows(() => refuseMisdirected(host, allowed));
  });
}

for (const host of [
  'evil.example',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  'hoody-exec.evil.example',
  'containers.example.org.evil',
  '',
  'a b',
  '1.2.3.4:80:90',
]) {
  test(`refuses ${JSON.stringify(host)}`, (t) => {
    const error = t.throws(() => refuseMisdirected(host, allowed), {instanceOf: AppError});
    t.is(error?.code, 'MISDIRECTED_HOST');
  });
}

test('programs and own pages pass, other sites do not', (t) => {
  const host = 'localhost:7070';
  t.notThrows(() => refuseForeign(new Headers({host})));
  t.notThrows(() => refuseForeign(new Headers({host, origin: 'http://localhost:7070'})));
  for (const headers of [
    {host, origin: 'https://evil.example'},
    {host, origin: 'http://localhost:8080'},
    {host, origin: 'null'},
    {host, 'sec-fetch-site': 'cross-site'},
  ]) {
    t.is(t.throws(() => refuseForeign(new Headers(headers)), {instanceOf: AppError})?.code, 'FORBIDDEN');
  }
});
