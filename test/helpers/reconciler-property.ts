import fc from 'fast-check';
import type {Teardown} from './git-world.ts';
import {begin, checkAtRest, createReconcilerModel, reconcilerCommands} from './reconciler-model.ts';
import {createReconcilerWorld, type ReconcilerWorld} from './reconciler-world.ts';

const dayMs = 24 * 3_600_000;

/**
 * Whatever people and hosts do to branches, files, processes, disk and clock: at rest what runs is what git says, and on
 * the way nothing happened that must not. A failure tells the steps; `FUZZ_SEED`, `FUZZ_PATH` and, for the `replayPath` that it
 * shows, `FUZZ_REPLAY` repeat them.
 */
export const reconcilerProperty = fc.asyncProperty(
  fc.constantFrom(0, dayMs),
  fc.commands(reconcilerCommands, {
    maxCommands: 14,
    size: 'max',
    // Which steps were taken decides how the others were made fewer.
    ...(process.env.FUZZ_REPLAY === undefined ? {} : {replayPath: process.env.FUZZ_REPLAY}),
  }),
  async (undoWindowMs, commands) => {
    const ends: (() => unknown)[] = [];
    const teardown: Teardown = {teardown: (end) => ends.push(end)};
    let world: ReconcilerWorld | null = null;
    try {
      const opened = await createReconcilerWorld(teardown, {undoWindowMs});
      world = opened;
      const model = createReconcilerModel();
      await begin(model, opened);
      await fc.asyncModelRun(() => ({model, real: opened}), commands);
      await checkAtRest(model, opened);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`${message}\n\nthe controller's log ends with:\n${world?.log() ?? ''}`, {cause: error});
    } finally {
      for (const end of ends.reverse()) await end();
    }
  },
);
