import type {ByteReader} from '../platform/byte-reader.ts';

/** One member of a tar archive. Its content follows the head, filled up to whole blocks. */
export interface TarMember {
  /** Relative, with `/` between names, none of them `.` or `..`. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'link';
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Whole seconds are kept. */
  readonly modifiedMs: number;
  /** Bytes of the content; 0 unless it is a file. */
  readonly size: number;
  /** Where a link points; empty otherwise. */
  readonly target: string;
}

/** What an archive holds that is none of ours, or is damaged. */
export class TarProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TarProblem';
  }
}

const blockBytes = 512;
const longestExtension = 64 * 1024;
const typeFlags = {file: '0', link: '2', directory: '5'} as const;

/** Two empty blocks: the end of every archive. */
export const tarEnd: Uint8Array = new Uint8Array(2 * blockBytes);

/** The head of a member as in POSIX.1-2001: what does not fit its fields stands in an extension before it. */
export function tarHead(member: TarMember): Uint8Array {
  const {path, kind, mode, uid, gid, modifiedMs, size, target} = member;
  const long: [string, string][] = [];
  const fits = (text: string) => Buffer.byteLength(text) <= 100 && !/[^\x20-\x7e]/.test(text);
  if (!fits(path)) long.push(['path', path]);
  if (!fits(target)) long.push(['linkpath', target]);
  if (size > 0o77777777777) long.push(['size', String(size)]);
  if (uid > 0o7777777) long.push(['uid', String(uid)]);
  if (gid > 0o7777777) long.push(['gid', String(gid)]);
  const fields = {mode, uid, gid, size, modifiedMs};
  const head = headBlock({
    ...fields,
    name: fits(path) ? path : 'long',
    typeFlag: typeFlags[kind],
    target: fits(target) ? target : '',
  });
  if (long.length === 0) return head;
  const text = Buffer.from(long.map(([key, value]) => extensionRecord(key, value)).join(''));
  const extension = headBlock({...fields, size: text.length, name: 'extension', typeFlag: 'x', target: ''});
  return Buffer.concat([extension, text, tarFill(text.length), head]);
}

/** What fills a content of `size` bytes up to whole blocks. */
export function tarFill(size: number): Uint8Array {
  return new Uint8Array((blockBytes - (size % blockBytes)) % blockBytes);
}

/**
 * The members of an archive that `tarHead` made, in order. The content of one must be taken before the next is
 * asked for. Throws TarProblem for anything else, also for paths that would lead out of a directory, and what
 * the reader throws.
 */
export async function* readTar(
  reader: ByteReader,
): AsyncGenerator<{member: TarMember; content: () => AsyncGenerator<Uint8Array>}> {
  for (;;) {
    let block = await takeBytes(reader, blockBytes);
    if (block.every((byte) => byte === 0)) {
      const second = await takeBytes(reader, blockBytes);
      if (!second.every((byte) => byte === 0)) throw new TarProblem('one empty block in the middle');
      return;
    }
    let extension = new Map<string, string>();
    if (fieldText(block, 156, 1) === 'x') {
      const size = octal(block, 124, 12);
      checkSum(block);
      if (size > longestExtension) throw new TarProblem('an extension is too long');
      extension = readExtension(await takeBytes(reader, size));
      await takeBytes(reader, tarFill(size).length);
      block = await takeBytes(reader, blockBytes);
    }
    const member = readHead(block, extension);
    let taken = member.size === 0;
    yield {
      member,
      async *content() {
        taken = true;
        yield* reader.take(member.size);
        await takeBytes(reader, tarFill(member.size).length);
      },
    };
    if (!taken) throw new Error(`the content of ${member.path} was not taken`);
  }
}

function readHead(block: Uint8Array, extension: ReadonlyMap<string, string>): TarMember {
  checkSum(block);
  const flag = fieldText(block, 156, 1);
  const kind = (['file', 'directory', 'link'] as const).find((each) => typeFlags[each] === flag);
  if (kind === undefined) throw new TarProblem(`a member of kind ${JSON.stringify(flag)}`);
  const number = (key: string, start: number, length: number) => {
    const text = extension.get(key);
    const value = text === undefined ? octal(block, start, length) : Number(text);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new TarProblem(`a damaged ${key}`);
  };
  const path = (extension.get('path') ?? fieldText(block, 0, 100)).replace(/\/$/, '');
  const names = path.split('/');
  if (path.includes('\0') || names.some((name) => name === '' || name === '.' || name === '..'))
    throw new TarProblem(`the path ${JSON.stringify(path.slice(0, 200))}`);
  const target = kind === 'link' ? (extension.get('linkpath') ?? fieldText(block, 157, 100)) : '';
  if (kind === 'link' && (target === '' || target.includes('\0'))) throw new TarProblem('a link to nowhere');
  return {
    path,
    kind,
    mode: octal(block, 100, 8) & 0o7777,
    uid: number('uid', 108, 8),
    gid: number('gid', 116, 8),
    size: kind === 'file' ? number('size', 124, 12) : 0,
    modifiedMs: octal(block, 136, 12) * 1000,
    target,
  };
}

function readExtension(bytes: Uint8Array): Map<string, string> {
  const found = new Map<string, string>();
  let rest = Buffer.from(bytes);
  while (rest.length > 0) {
    const length = Number(/^(\d{1,6}) /.exec(rest.toString('latin1', 0, 7))?.[1] ?? 0);
    const record = rest.toString('utf8', String(length).length + 1, length - 1);
    const equals = record.indexOf('=');
    if (length === 0 || length > rest.length || equals < 1) throw new TarProblem('a damaged extension');
    found.set(record.slice(0, equals), record.slice(equals + 1));
    rest = rest.subarray(length);
  }
  return found;
}

/** `<length> <key>=<value> LF`, the length counting itself. */
function extensionRecord(key: string, value: string): string {
  const body = Buffer.byteLength(` ${key}=${value}\n`);
  const length = body + String(body + String(body).length).length;
  return `${length} ${key}=${value}\n`;
}

function headBlock(fields: {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  modifiedMs: number;
  typeFlag: string;
  target: string;
}): Buffer {
  const block = Buffer.alloc(blockBytes);
  const number = (value: number, start: number, digits: number) =>
    block.write(
      Math.min(value, 8 ** digits - 1)
        .toString(8)
        .padStart(digits, '0'),
      start,
      'latin1',
    );
  block.write(fields.name, 0, 'latin1');
  number(fields.mode & 0o7777, 100, 7);
  number(fields.uid, 108, 7);
  number(fields.gid, 116, 7);
  number(fields.size, 124, 11);
  number(Math.max(0, Math.floor(fields.modifiedMs / 1000)), 136, 11);
  block.write(fields.typeFlag, 156, 'latin1');
  block.write(fields.target, 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  number(sumOf(block), 148, 6);
  block.write('\0 ', 154, 'latin1');
  return block;
}

/** Of all bytes, those of the sum itself counted as blanks. */
function sumOf(block: Uint8Array): number {
  return block.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}

function checkSum(block: Uint8Array): void {
  if (octal(block, 148, 8) !== sumOf(block)) throw new TarProblem('a damaged head');
}

function octal(block: Uint8Array, start: number, length: number): number {
  const text = fieldText(block, start, length).trim();
  if (!/^[0-7]*$/.test(text)) throw new TarProblem('a damaged number');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

function fieldText(block: Uint8Array, start: number, length: number): string {
  const field = Buffer.from(block.subarray(start, start + length));
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? length : end);
}

async function takeBytes(reader: ByteReader, size: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of reader.take(size)) parts.push(part);
  return Buffer.concat(parts);
}
