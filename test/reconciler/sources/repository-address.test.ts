import {resolve} from 'node:path';
import test from 'ava';
import {maskCredentials, parseRepository} from '../../../reconciler/sources/repository-address.ts';
import {AppError} from '../../../schemas/errors.ts';

const parses = test.macro((t, {text, display}: {text: string; display: string}) => {
  const address = parseRepository(text);
  if (address.kind !== 'remote') return t.fail('it was read as a path');
  t.is(address.display, display);
  t.is(address.url, text);
});

test('an https URL', parses, {text: 'https://host/team/app.git', display: 'https://host/team/app.git'});
test('user and password are not shown', parses, {
  text: 'https://me:p%40ss@host/app',
  display: 'https://host/app',
});
test('a token as user is not shown', parses, {
  text: 'https://ghp_secret@host:8443/app/',
  display: 'https://host:8443/app',
});
test('query and fragment are not shown', parses, {
  text: 'https://host/app?token=x#y',
  display: 'https://host/app',
});
test('an ssh URL keeps its user', parses, {
  text: 'ssh://git@host:2222/app.git',
  display: 'ssh://git@host:2222/app.git',
});
test('an ssh URL loses its password', parses, {text: 'ssh://git:pw@host/app', display: 'ssh://git@host/app'});
test('the short ssh form', parses, {text: 'git@host:team/app.git', display: 'git@host:team/app.git'});
test('the short ssh form without user', parses, {text: 'host:app', display: 'host:app'});
test('a file URL', parses, {text: 'file:///srv/git/app.git', display: 'file:///srv/git/app.git'});

const isPath = test.macro((t, text: string) => {
  t.deepEqual(parseRepository(text), {kind: 'local', path: resolve(text)});
});

test('an absolute path', isPath, '/srv/git/app');
test('a relative path', isPath, '.');
test('a path with a colon after a slash', isPath, './odd:name');
test('a path with spaces and an at sign', isPath, '/srv/a b/x@y');

const isRefused = test.macro((t, {text, says}: {text: string; says: RegExp}) => {
  const error = t.throws(() => parseRepository(text), {instanceOf: AppError});
  t.is(error.code, 'CONFIG_INVALID');
  t.regex(error.message, says);
});

test('refuses an empty text', isRefused, {text: '', says: /empty/});
test('refuses an option', isRefused, {text: '--upload-pack=touch x', says: /option/});
test('refuses ext::', isRefused, {text: 'ext::sh -c touch% x', says: /transport/});
test('refuses fd::', isRefused, {text: 'fd::7', says: /transport/});
test('refuses a helper as scheme', isRefused, {text: 'ext://x/y', says: /transport/});
test('refuses an ssh host that is an option', isRefused, {
  text: 'ssh://-oProxyCommand=x/y',
  says: /option|malformed/,
});
test('refuses an ssh user that is an option', isRefused, {
  text: 'ssh://-oProxyCommand=x@host/y',
  says: /option/,
});
test('refuses a short form whose host is an option', isRefused, {
  text: 'x@-oProxyCommand=y:z',
  says: /option/,
});
test('refuses a line feed', isRefused, {text: 'https://host/a\nb', says: /control character/});
test('refuses a URL without path', isRefused, {text: 'https://host/', says: /no repository/});
test('refuses a URL without host', isRefused, {
  text: 'https:///app',
  says: /malformed|no repository|no host/,
});

test('the error of a refused URL does not show its credentials', (t) => {
  const error = t.throws(() => parseRepository('ftp://me:hunter2@host/app'), {instanceOf: AppError});
  t.notRegex(error.message, /hunter2/);
});

test('credentials are masked in every form a text can hold', (t) => {
  const credentials = {user: 'me', password: 'p@ss/wörd'};
  const basic = Buffer.from('me:p@ss/wörd').toString('base64');
  const text = `a p@ss/wörd b ${encodeURIComponent('p@ss/wörd')} c Basic ${basic} d https://me:other@host/x`;
  t.is(maskCredentials(text, credentials), 'a *** b *** c *** d https://***@host/x');
});
