import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';

const documents = ['docs/reconciler.md'];
const root = join(import.meta.dirname, '../..');
/** `[title of a test](../test/....ts)` */
const reference = /\[([^\]]+)\]\(\.\.\/(test\/[^)]+\.ts)\)/g;

for (const document of documents) {
  test(`every test that ${document} names is there`, async (t) => {
    const text = await readFile(join(root, document), 'utf8');
    const named = [...text.matchAll(reference)].map(([, title = '', file = '']) => ({title, file}));
    t.true(named.length > 20);
    const missing: string[] = [];
    for (const {title, file} of named) {
      const source = await readFile(join(root, file), 'utf8').catch(() => '');
      if (title !== file ? !source.includes(title) : source === '') missing.push(`${file}: ${title}`);
    }
    t.deepEqual(missing, []);
  });
}
