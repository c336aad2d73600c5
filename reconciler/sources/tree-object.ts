export type EntryKind = 'file' | 'executable' | 'symlink' | 'directory' | 'submodule';

export interface TreeEntry {
  readonly kind: EntryKind;
  readonly id: string;
}

/**
 * Entries of a raw tree object by name: `<octal mode> SP <name> NUL <id>`, with ids of 20 bytes (SHA-1) or 32
 * (SHA-256). Throws an Error that names the entry when the object is damaged or a name could leave the
 * directory it is written to.
 */
export function parseTree(bytes: Uint8Array, idBytes: number): Map<string, TreeEntry> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = new Map<string, TreeEntry>();
  let offset = 0;
  while (offset < buffer.length) {
    const space = buffer.indexOf(0x20, offset);
    const nul = buffer.indexOf(0, space + 1);
    const end = nul + 1 + idBytes;
    if (space === -1 || nul === -1 || end > buffer.length) throw new Error('the tree object is cut short');
    const kind = entryKind(buffer.toString('latin1', offset, space));
    const name = entryName(buffer.subarray(space + 1, nul));
    if (entries.has(name)) throw new Error(`the name ${JSON.stringify(name)} occurs twice`);
    entries.set(name, {kind, id: buffer.toString('hex', nul + 1, end)});
    offset = end;
  }
  return entries;
}

function entryKind(mode: string): EntryKind {
  if (!/^[0-7]{5,6}$/.test(mode))
    throw new Error(`the mode ${JSON.stringify(mode.slice(0, 20))} is not known`);
  const bits = Number.parseInt(mode, 8);
  switch (bits & 0o170000) {
    case 0o040000:
      return 'directory';
    case 0o100000:
      return (bits & 0o100) === 0 ? 'file' : 'executable';
    case 0o120000:
      return 'symlink';
    case 0o160000:
      return 'submodule';
    default:
      throw new Error(`the mode ${mode} is not known`);
  }
}

/** What Linux file systems take. */
const maxNameBytes = 255;

function entryName(bytes: Buffer): string {
  const name = bytes.toString('utf8');
  if (bytes.length > maxNameBytes)
    throw new Error(
      `the name ${JSON.stringify(`${name.slice(0, 40)}...`)} is longer than ${maxNameBytes} bytes`,
    );
  if (Buffer.byteLength(name) !== bytes.length || name.includes('\ufffd')) {
    throw new Error(`the name ${JSON.stringify(name)} is not UTF-8`);
  }
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.toLowerCase() === '.git') {
    throw new Error(`the name ${JSON.stringify(name)} is not allowed`);
  }
  return name;
}
