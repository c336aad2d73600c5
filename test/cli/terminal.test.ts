import {PassThrough} from 'node:stream';
import test from 'ava';
import {createTerminal, formatTable} from '../../cli/terminal.ts';

/** A stream that says what a terminal says of itself. */
function stream(columns: number | undefined): NodeJS.WriteStream {
  return Object.assign(new PassThrough(), {isTTY: true, columns}) as unknown as NodeJS.WriteStream;
}

test('a terminal that does not know its width is taken for a wide one', (t) => {
  for (const unknown of [0, undefined]) {
    const {columns} = createTerminal({stdout: stream(unknown), stderr: stream(unknown), noColor: true});
    t.is(formatTable([['BRANCH', 'COMMIT']], {columns}), 'BRANCH  COMMIT\n');
  }
  t.is(createTerminal({stdout: stream(40), stderr: stream(40), noColor: true}).columns, 40);
});
