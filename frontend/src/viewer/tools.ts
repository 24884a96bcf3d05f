import { Enums, PanTool, ToolGroupManager, WindowLevelTool, ZoomTool } from '@cornerstonejs/tools';

export const TOOLS = ['window', 'scroll', 'zoom', 'pan'] as const;
/** What the first button and one finger do. */
export type Tool = (typeof TOOLS)[number];

const { MouseBindings } = Enums;

/** Cornerstone's tools on one viewport. Scrolling is none of them: see input.ts. */
export class ToolSet {
  readonly #name: string;

  constructor(name: string, viewport: string, engine: string, tool: Tool) {
    const group = ToolGroupManager.createToolGroup(name);
    if (group === undefined) throw new Error('a tool group of this name exists');
    this.#name = name;
    for (const { toolName } of [WindowLevelTool, PanTool, ZoomTool]) group.addTool(toolName);
    group.addViewport(viewport, engine);
    this.choose(tool);
  }

  /** The chosen tool has the first button and one finger; panning and zooming are always on the others and on two fingers. */
  choose(tool: Tool): void {
    const group = ToolGroupManager.getToolGroup(this.#name);
    if (group === undefined) return;
    const first = (name: Tool) => (tool === name ? [{ mouseButton: MouseBindings.Primary }] : []);
    const bound = [
      { name: WindowLevelTool.toolName, bindings: first('window') },
      { name: PanTool.toolName, bindings: [...first('pan'), { mouseButton: MouseBindings.Auxiliary }] },
      {
        name: ZoomTool.toolName,
        bindings: [...first('zoom'), { mouseButton: MouseBindings.Secondary }, { numTouchPoints: 2 }],
      },
    ];
    for (const { name } of bound) group.setToolPassive(name, { removeAllBindings: true });
    for (const { name, bindings } of bound) if (bindings.length > 0) group.setToolActive(name, { bindings });
  }

  destroy(): void {
    ToolGroupManager.destroyToolGroup(this.#name);
  }
}
