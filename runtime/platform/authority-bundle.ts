import {type FileHandle, open, realpath} from 'node:fs/promises';
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

/** The line end before it is ours, too, whatever stands there. */
const begin = '\n# branchtab: begin';
const end = '# branchtab: end';
/** To the end where a write was cut short. */
const former = new RegExp(`${begin}\\n[\\s\\S]*?(?:${end}\\n|$)`, 'g');
/** Longer than what we add. Bundles are large, and only their ends are ours. */
const tailBytes = 8 * 1024;

/** Adds an authority of ours to the end of a bundle, in place of a former one there. Throws the file system's errors. */
export async function addToBundle(path: string, certificate: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const {size} = await file.stat();
    const start = Math.max(0, size - tailBytes);
    const tail = await readText(file, start, size - start);
    const others = tail.replace(former, '');
    const wanted = `${others}${begin}\n${certificate}${end}\n`;
    if (wanted === tail) return;
    await file.write(Buffer.from(wanted, 'latin1'), 0, wanted.length, start);
    await file.truncate(start + wanted.length);
  } finally {
    await file.close();
  }
}

/** One character for each byte. */
async function readText(file: FileHandle, start: number, length: number): Promise<string> {
  const bytes = Buffer.alloc(length);
  const {bytesRead} = await file.read(bytes, 0, length, start);
  return bytes.toString('latin1', 0, bytesRead);
}
