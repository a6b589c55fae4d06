// Dear ImGui 1.86 behind ui.h. It lays out nothing here: one borderless window over the whole
// target is the canvas, the pages say where things go.
#include "ui.h"

#include <cstring>

#include <imgui/imgui.h>

#include "autogaze/base.h"
#include "font.h"

static_assert(sizeof(ImDrawVert) == sizeof(ag_ui_vertex), "vertices are copied as they are");
static_assert(sizeof(ImDrawIdx) == sizeof(uint16_t), "indices are copied as they are");

struct ag_ui {
    ImGuiContext *context;
    ImFont *fonts[AG_FONT_COUNT];
    ImDrawList *canvas, *top;
};

static void *allocate(size_t size, void *)
{
    return ag_alloc(size);
}

static void release(void *p, void *)
{
    ag_free(p);
}

extern "C" struct ag_ui *ag_ui_create(void)
{
    ImGui::SetAllocatorFunctions(allocate, release, nullptr);
    auto *ui = (struct ag_ui *)ag_alloc(sizeof(struct ag_ui));
    ui->context = ImGui::CreateContext();
    ImGui::SetCurrentContext(ui->context);
    ImGuiIO &io = ImGui::GetIO();
    io.IniFilename = nullptr;
    io.LogFilename = nullptr;
    // Buffers are kept: a quiet HUD must not allocate again. (A negative value is documented to do
    // that, but compacts at once.)
    io.ConfigMemoryCompactTimer = 1e30f;
    io.BackendFlags |= ImGuiBackendFlags_RendererHasVtxOffset;
    ImGuiStyle &style = ImGui::GetStyle();
    style.WindowPadding = ImVec2(0, 0);
    style.WindowMinSize = ImVec2(1, 1);
    style.WindowBorderSize = 0;
    style.AntiAliasedLinesUseTex = false; // the atlas is sampled at the nearest texel
    return ui;
}

extern "C" void ag_ui_destroy(struct ag_ui **ui)
{
    if (*ui) {
        ImGui::SetCurrentContext((*ui)->context);
        ImGui::DestroyContext((*ui)->context);
        ag_free(*ui);
        *ui = nullptr;
    }
}

extern "C" struct ag_ui_atlas ag_ui_set_font(struct ag_ui *ui, float px)
{
    static const ImWchar letters[] = {
        0x0020, 0x024f, // Latin
        0x0370, 0x04ff, // Greek, Cyrillic: names of files and devices
        0x2010, 0x2027, 0x2190, 0x2193, 0,
    };
    static const ImWchar digits[] = { 0x0020, 0x007e, 0x00d7, 0x00d7, 0 };
    ImGui::SetCurrentContext(ui->context);
    ImFontAtlas *atlas = ImGui::GetIO().Fonts;
    atlas->Clear();
    atlas->Flags = ImFontAtlasFlags_NoMouseCursors | ImFontAtlasFlags_NoBakedLines;
    ImFontConfig config;
    config.FontDataOwnedByAtlas = false;
    config.OversampleH = config.OversampleV = 1;
    config.PixelSnapH = true;
    // ImGui wants the data writable and does not write it.
    void *data = const_cast<uint32_t *>(ag_hud_font);
    ui->fonts[AG_FONT_BODY] =
        atlas->AddFontFromMemoryTTF(data, (int)ag_hud_font_bytes, px, &config, letters);
    ui->fonts[AG_FONT_BIG] = atlas->AddFontFromMemoryTTF(data, (int)ag_hud_font_bytes,
                                                         (float)(int)(px * 1.75f), &config, digits);
    unsigned char *texels;
    int width, height;
    atlas->GetTexDataAsAlpha8(&texels, &width, &height);
    return { texels, (uint32_t)width, (uint32_t)height };
}

extern "C" float ag_ui_advance(const struct ag_ui *ui, enum ag_ui_font font)
{
    return ui->fonts[font]->GetCharAdvance('0');
}

extern "C" float ag_ui_height(const struct ag_ui *ui, enum ag_ui_font font)
{
    return ui->fonts[font]->FontSize;
}

extern "C" void ag_ui_begin(struct ag_ui *ui, uint32_t width, uint32_t height, float seconds,
                            const struct ag_ui_input *input)
{
    ImGui::SetCurrentContext(ui->context);
    ImGuiIO &io = ImGui::GetIO();
    io.DisplaySize = ImVec2((float)width, (float)height);
    io.DeltaTime = seconds > 0 ? seconds : 1e-3f;
    io.MousePos = ImVec2(input->mouse_x, input->mouse_y);
    io.MouseDown[0] = input->mouse_down;
    ImGui::NewFrame();
    ImGui::SetNextWindowPos(ImVec2(0, 0));
    ImGui::SetNextWindowSize(io.DisplaySize);
    ImGui::Begin("screen", nullptr,
                 ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoBackground |
                     ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                     ImGuiWindowFlags_NoNav | ImGuiWindowFlags_NoBringToFrontOnFocus);
    ui->canvas = ImGui::GetWindowDrawList();
}

extern "C" void ag_ui_text(struct ag_ui *ui, enum ag_ui_font font, float x, float y, uint32_t color,
                           const char *text, size_t length)
{
    ImFont *f = ui->fonts[font];
    ui->canvas->AddText(f, f->FontSize, ImVec2(x, y), color, text, text + length);
}

extern "C" void ag_ui_fill(struct ag_ui *ui, float x, float y, float width, float height,
                           float rounding, uint32_t color)
{
    ui->canvas->AddRectFilled(ImVec2(x, y), ImVec2(x + width, y + height), color, rounding);
}

extern "C" void ag_ui_outline(struct ag_ui *ui, float x, float y, float width, float height,
                              float rounding, uint32_t color)
{
    ui->canvas->AddRect(ImVec2(x, y), ImVec2(x + width, y + height), color, rounding);
}

extern "C" void ag_ui_triangle(struct ag_ui *ui, float x0, float y0, float x1, float y1, float x2,
                               float y2, uint32_t color)
{
    ui->canvas->AddTriangleFilled(ImVec2(x0, y0), ImVec2(x1, y1), ImVec2(x2, y2), color);
}

extern "C" void ag_ui_curve(struct ag_ui *ui, const float *xy, uint32_t n, float thickness,
                            uint32_t color)
{
    // Segment by segment: the joints of a polyline fall apart where the curve is steep.
    for (uint32_t i = 1; i < n; i++) {
        const float *p = xy + 2 * i;
        ui->canvas->AddLine(ImVec2(p[-2], p[-1]), ImVec2(p[0], p[1]), color, thickness);
    }
}

extern "C" void ag_ui_on_top(struct ag_ui *ui)
{
    ui->canvas = ui->top = ImGui::GetForegroundDrawList();
}

extern "C" void ag_ui_clip(struct ag_ui *ui, float x, float y, float width, float height)
{
    ui->canvas->PushClipRect(ImVec2(x, y), ImVec2(x + width, y + height), true);
}

extern "C" void ag_ui_unclip(struct ag_ui *ui)
{
    ui->canvas->PopClipRect();
}

static bool area(const char *name, float x, float y, float width, float height,
                 struct ag_ui_widget *state)
{
    ImGui::SetCursorScreenPos(ImVec2(x, y));
    bool clicked = ImGui::InvisibleButton(name, ImVec2(AG_MAX(width, 1.f), AG_MAX(height, 1.f)));
    state->hovered = ImGui::IsItemHovered();
    state->active = ImGui::IsItemActive();
    return clicked;
}

extern "C" bool ag_ui_slider(struct ag_ui *, const char *name, float x, float y, float width,
                             float height, double *at, struct ag_ui_widget *state)
{
    area(name, x, y, width, height, state);
    if (!state->active) {
        return false;
    }
    double t = (ImGui::GetIO().MousePos.x - x) / AG_MAX(width, 1.f);
    *at = AG_CLAMP(t, 0.0, 1.0);
    return true;
}

extern "C" bool ag_ui_button(struct ag_ui *, const char *name, float x, float y, float width,
                             float height, struct ag_ui_widget *state)
{
    return area(name, x, y, width, height, state);
}

extern "C" struct ag_ui_mesh ag_ui_end(struct ag_ui *ui)
{
    ImGui::End();
    ImGui::Render();
    ui->canvas = nullptr;
    const ImDrawData *data = ImGui::GetDrawData();
    return { (uint32_t)data->TotalVtxCount, (uint32_t)data->TotalIdxCount };
}

extern "C" void ag_ui_copy(struct ag_ui *ui, struct ag_ui_vertex *vertices, uint16_t *indices)
{
    ImGui::SetCurrentContext(ui->context);
    const ImDrawData *data = ImGui::GetDrawData();
    for (int i = 0; i < data->CmdListsCount; i++) {
        const ImDrawList *list = data->CmdLists[i];
        memcpy(vertices, list->VtxBuffer.Data, (size_t)list->VtxBuffer.Size * sizeof(ImDrawVert));
        memcpy(indices, list->IdxBuffer.Data, (size_t)list->IdxBuffer.Size * sizeof(ImDrawIdx));
        vertices += list->VtxBuffer.Size;
        indices += list->IdxBuffer.Size;
    }
}

extern "C" bool ag_ui_next_draw(struct ag_ui *ui, uint32_t i, struct ag_ui_draw *out)
{
    ImGui::SetCurrentContext(ui->context);
    const ImDrawData *data = ImGui::GetDrawData();
    uint32_t vertex = 0, index = 0;
    for (int l = 0; l < data->CmdListsCount; l++) {
        const ImDrawList *list = data->CmdLists[l];
        if (i < (uint32_t)list->CmdBuffer.Size) {
            const ImDrawCmd &c = list->CmdBuffer[(int)i];
            float x0 = AG_MAX(c.ClipRect.x, 0.f), y0 = AG_MAX(c.ClipRect.y, 0.f);
            float x1 = AG_MIN(c.ClipRect.z, data->DisplaySize.x);
            float y1 = AG_MIN(c.ClipRect.w, data->DisplaySize.y);
            *out = { index + c.IdxOffset, c.ElemCount, vertex + c.VtxOffset,
                     (int32_t)x0, (int32_t)y0,
                     (int32_t)AG_MAX(x1 - x0, 0.f), (int32_t)AG_MAX(y1 - y0, 0.f),
                     list == ui->top };
            return true;
        }
        i -= (uint32_t)list->CmdBuffer.Size;
        vertex += (uint32_t)list->VtxBuffer.Size;
        index += (uint32_t)list->IdxBuffer.Size;
    }
    return false;
}
