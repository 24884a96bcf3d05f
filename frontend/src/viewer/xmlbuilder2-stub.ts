/** Stands in for `xmlbuilder2`, which vtk.js imports only to write mesh files; see vite.config.ts. */
export const create = (): never => {
  throw new Error('xmlbuilder2 is not bundled');
};
export const fragment = create;
export const convert = create;
export default { create };
