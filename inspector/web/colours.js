// Colours, for both themes. Owners are told apart by hue and lightness, and none is red: that is
// for what needs somebody. Everything that a colour says, a mark or a text says too.

const OWNERS = {
  light: ["#3f74b5", "#e3a72f", "#2c9c7c", "#b4569d", "#7cc3e6", "#8c7040", "#6a62c4", "#a7bb4a"],
  dark: ["#5a8fd6", "#e6b04a", "#34ad88", "#c470b0", "#8bd0ef", "#a58a58", "#8a84e6", "#b9cd62"],
};

const SHADES = {
  light: { empty: "#ffffff", rest: "#cfd8d2", motion: "#2b7fd4", alarm: "#cf3f17", ink: "#121916",
    paper: "#ffffff", nobody: "#dfe4e0", ring: "#0c1511" },
  dark: { empty: "#141b18", rest: "#35433c", motion: "#57a4f2", alarm: "#ff6a3d", ink: "#0a0e0c",
    paper: "#ffffff", nobody: "#2a342f", ring: "#ffffff" },
};

const RAMPS = {
  light: ["#e6eee8", "#b4dcc8", "#67bc9b", "#26866b", "#0a4638"],
  dark: ["#1d2824", "#1e4c40", "#2b7d65", "#58bf99", "#cdf8e3"],
};

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

export function colours() {
  const theme = isDark() ? "dark" : "light";
  const owners = OWNERS[theme];
  return {
    ...SHADES[theme],
    ramp: RAMPS[theme],
    owner(place) {
      if (place < 0) return SHADES[theme].nobody;
      if (place < owners.length) return owners[place];
      // Further hues by the golden angle, away from red.
      const hue = 50 + ((place * 137.508) % 280);
      const light = (theme === "dark" ? 58 : 46) + (place % 3) * 8;
      return `hsl(${hue.toFixed(1)} 48% ${light}%)`;
    },
  };
}

// A colour between the stops, for 0 to 1.
export function along(ramp, part) {
  const at = Math.min(Math.max(part, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  const mix = at - low;
  const channel = (colour, from) => parseInt(colour.slice(from, from + 2), 16);
  const mixed = [1, 3, 5].map((from) =>
    Math.round(channel(ramp[low], from) * (1 - mix) + channel(ramp[low + 1], from) * mix));
  return `rgb(${mixed.join(" ")})`;
}
