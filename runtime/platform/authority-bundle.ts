import {realpath} from 'node:fs/promises';
import {isErrno} from './durable-file.ts';

/** Where distributions keep the authorities that programs trust, in one file: Debian and many others, Fedora, openSUSE. */
export const usualBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
] as const;

/** The bundle of this file system, without links; null where there is none. */
export async function findBundle(paths: readonly string[] = usualBundles): Promise<string | null> {
  for (const path of paths) {
    try {
      return await realpath(path);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return null;
}

const begin = '# branchtab: begin';
const end = '# branchtab: end';
/** To the end where a write was cut short. */
const former = new RegExp(`\\n?${begin}\\n[\\s\\S]*?(?:${end}\\n|$)`, 'g');

/** The bundle with one authority of ours, in place of any former one. */
export function withAuthority(bundle: string, certificate: string): string {
  const others = bundle.replace(former, '');
  const gap = others === '' || others.endsWith('\n') ? '' : '\n';
  return `${others}${gap}${begin}\n${certificate}${end}\n`;
}
