import {execFile} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import type {Teardown} from './git-world.ts';

/** Paths of a certificate that signs itself, for a name such as `*.example.org`, and of its key. */
export async function certificateOf(t: Teardown, name: string): Promise<{certificate: string; key: string}> {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-tls-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const files = {certificate: join(directory, 'cert.pem'), key: join(directory, 'key.pem')};
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`],
    ...['-keyout', files.key, '-out', files.certificate],
  ]);
  return files;
}
