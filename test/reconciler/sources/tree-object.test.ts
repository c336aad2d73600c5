import test from 'ava';
import {parseTree} from '../../../reconciler/sources/tree-object.ts';

const idBytes = 20;

function tree(...entries: readonly (readonly [mode: string, name: string | Uint8Array])[]): Uint8Array {
  return Buffer.concat(
    entries.flatMap(([mode, name]) => [
      Buffer.from(`${mode} `),
      Buffer.from(name),
      Buffer.alloc(1 + idBytes),
    ]),
  );
}

test('names, modes and ids', (t) => {
  const entries = parseTree(
    tree(
      ['100644', 'a'],
      ['100755', 'b'],
      ['120000', 'c'],
      ['40000', 'd'],
      ['160000', 'e'],
      ['100664', 'back\\slash'],
    ),
    idBytes,
  );
  t.deepEqual(
    [...entries].map(([name, {kind}]) => [name, kind]),
    [
      ['a', 'file'],
      ['b', 'executable'],
      ['c', 'symlink'],
      ['d', 'directory'],
      ['e', 'submodule'],
      ['back\\slash', 'file'],
    ],
  );
  t.is(entries.get('a')?.id, '0'.repeat(40));
});

test('ids of 32 bytes', (t) => {
  const bytes = Buffer.concat([Buffer.from('100644 a\0'), Buffer.alloc(32, 0xab)]);
  t.is(parseTree(bytes, 32).get('a')?.id, 'ab'.repeat(32));
});

test('a name longer than a file system takes is refused', (t) => {
  t.is(parseTree(tree(['100644', 'n'.repeat(255)]), idBytes).size, 1);
  t.throws(() => parseTree(tree(['100644', 'n'.repeat(256)]), idBytes), {message: /longer than 255 bytes/});
});

test('an empty tree', (t) => {
  t.is(parseTree(new Uint8Array(), idBytes).size, 0);
});

const refused = test.macro((t, {bytes, says}: {bytes: Uint8Array; says: RegExp}) => {
  t.throws(() => parseTree(bytes, idBytes), {message: says});
});

for (const name of ['', '.', '..', '.git', '.GIT', '.Git', 'a/b', '../x', '/etc']) {
  test(`the name ${JSON.stringify(name)}`, refused, {bytes: tree(['100644', name]), says: /not allowed/});
}
test('a name that is not UTF-8', refused, {
  bytes: tree(['100644', new Uint8Array([0xe4, 0x62])]),
  says: /not UTF-8/,
});
test('a name that occurs twice', refused, {bytes: tree(['100644', 'a'], ['40000', 'a']), says: /twice/});
test('a mode that is no file', refused, {bytes: tree(['060000', 'disk']), says: /mode/});
test('a mode that is no number', refused, {bytes: tree(['x', 'a']), says: /mode/});
test('an entry cut in its id', refused, {bytes: tree(['100644', 'a']).subarray(0, -1), says: /cut short/});
test('an entry cut in its mode', refused, {bytes: Buffer.from('1006'), says: /cut short/});
