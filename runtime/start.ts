/**
 * The program that a container runs. The runtime starts it again for its script host and for the parser; each of
 * them loads its own part only.
 */
export async function startProgram([word, ...args]: readonly string[]): Promise<void> {
  if (word === 'script-host') {
    const {scriptHostMain} = await import('./exec/script-host.ts');
    await scriptHostMain(args);
  } else if (word === 'script-compiler') {
    const {compilerMain} = await import('./exec/compiler-process.ts');
    compilerMain();
  } else {
    const {runtimeMain} = await import('./main.ts');
    await runtimeMain(word === undefined ? [] : [word, ...args]);
  }
}

if (import.meta.main) void startProgram(process.argv.slice(2));
