import {isSingleFile} from './platform/child-process.ts';

/**
 * The program that a container runs. The runtime starts it again for its helpers: script hosts, the parser,
 * the reader of databases, and the thread that moves bytes; each of them loads its own part only. A controller on another machine starts it to reach
 * the runtime's socket.
 */
export async function startProgram([word, ...args]: readonly string[]): Promise<void> {
  if (word === 'script-host') {
    const {scriptHostMain} = await import('./exec/script-host.ts');
    await scriptHostMain(args);
  } else if (word === 'script-inspector') {
    const {inspectorMain} = await import('./exec/inspector-process.ts');
    inspectorMain();
  } else if (word === 'storage-sqlite') {
    const {sqliteMain} = await import('./storage/sqlite-process.ts');
    sqliteMain();
  } else if (word === 'move-helper') {
    const {moveHelperMain} = await import('./platform/move-helper.ts');
    moveHelperMain();
  } else if (word === 'connect') {
    const {relayStandardStreams} = await import('./platform/relay-standard-streams.ts');
    await relayStandardStreams(args[0] ?? '');
    process.exit(0);
  } else {
    const {runtimeMain} = await import('./main.ts');
    await runtimeMain(word === undefined ? [] : [word, ...args]);
  }
}

// The thread's module is no main module but in the single file, whose own main module comes here too.
const isThread = !Bun.isMainThread && Bun.main === import.meta.path && !isSingleFile(Bun.main);
if (import.meta.main || isThread) void startProgram(process.argv.slice(2));
